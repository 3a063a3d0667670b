// MemoryLimiterTests
