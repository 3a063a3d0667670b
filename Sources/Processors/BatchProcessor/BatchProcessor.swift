// BatchProcessor
