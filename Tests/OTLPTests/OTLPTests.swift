// OTLPTests
