internal import Configuration
internal import Logging
internal import OTLP
internal import Pipeline

// What the parts of a pipeline are called, by one side and the other.

extension Entrance {
    /// One entrance for all pipelines that a receiver feeds with one signal.
    static func joining(_ entrances: [Entrance]) -> Entrance {
        Entrance(
            consumer: FanOut.joining(entrances.map { $0.consumer }),
            limiters: entrances.flatMap { $0.limiters },
            answersLater: entrances.contains { $0.answersLater },
            keepsGzip: entrances.contains { $0.keepsGzip })
    }
}

extension Signal {
    init(_ signal: PipelineSignal) {
        switch signal {
        case .traces: self = .traces
        case .metrics: self = .metrics
        case .logs: self = .logs
        }
    }
}

extension PipelineSignal {
    init(_ signal: Signal) {
        switch signal {
        case .traces: self = .traces
        case .metrics: self = .metrics
        case .logs: self = .logs
        }
    }
}

extension Logger {
    /// A logger whose lines name a component as the Collector's do.
    func of(_ kind: String, _ id: String, _ pipeline: PipelineID?) -> Logger {
        var logger = self
        logger[metadataKey: "otelcol.component.id"] = "\(id)"
        logger[metadataKey: "otelcol.component.kind"] = "\(kind)"
        if let pipeline { logger[metadataKey: "otelcol.pipeline.id"] = "\(pipeline)" }
        return logger
    }
}
