// BatchProcessorTests
