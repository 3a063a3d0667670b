package import Pipeline

extension BatchConfig: ComponentConfig {}

extension ComponentType {
    /// `batch`.
    package static let batch = processor("batch", stability: .stable, BatchConfig.self) {
        BatchProcessor($0, $1, next: $2)
    }
}
