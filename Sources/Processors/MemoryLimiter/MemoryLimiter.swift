// MemoryLimiter
