// OTLPReceiverTests
