package import Configuration
package import Pipeline

/// The keys of `tail_sampling`.
package struct TailSamplingConfig: ComponentConfig {
    /// When traces are looked at.
    package enum Strategy: String, CaseIterable, Sendable {
        /// Once, when the wait is over.
        case traceComplete = "trace-complete"
        /// Each time that spans of them come, these spans alone.
        case spanIngest = "span-ingest"
    }

    /// From a trace's first span to its decision. Default 30s. Key `decision_wait`.
    package var decisionWait: Duration = .seconds(30)
    /// From a trace's root span to its decision, when that is sooner; 0 is off. Default 0. Key
    /// `decision_wait_after_root_received`.
    package var waitAfterRoot: Duration = .zero
    /// Traces that are kept, decided ones included. Default 50000. Key `num_traces`.
    package var numTraces = 50_000
    /// Whether requests are refused, rather than traces lost, while so many traces wait. Default false. Key
    /// `block_on_overflow`.
    package var blocksOnOverflow = false
    /// Ids of sampled traces to remember. Default 0. Key `decision_cache::sampled_cache_size`.
    package var sampledCacheSize = 0
    /// Ids of other traces to remember. Default 0. Key `decision_cache::non_sampled_cache_size`.
    package var nonSampledCacheSize = 0
    /// Whether the first policy that samples ends the questions. Default false. Key `sample_on_first_match`.
    package var samplesOnFirstMatch = false
    /// Default `trace-complete`. Key `sampling_strategy`.
    package var strategy = Strategy.traceComplete
    /// Whether traces that wait at a stop are lost rather than decided. Default false. Key
    /// `drop_pending_traces_on_shutdown`.
    package var dropsPendingAtStop = false
    /// A larger trace is not sampled; 0 is no limit. Default 0. Key `maximum_trace_size_bytes`.
    package var traceBytesMax = 0
    /// What waits may take so many bytes: with more the oldest traces are decided early; 0 is no limit. Default 0. Key
    /// `max_bytes`.
    package var bytesMax = 0
    /// In the order in which they are written. Key `policies`.
    package var policies: [PolicyConfig] = []

    /// The extension that keeps what waits on disk, too; nil = in memory only, the default. Key `storage`, ours.
    package var storage: ComponentID?

    package var references: [ComponentReference] {
        storage.map { [ComponentReference($0, .extension(.storage), key: "storage")] } ?? []
    }

    package init() {}

    package init(_ section: ConfigSection) {
        decisionWait = section.duration(
            "decision_wait", default: decisionWait, in: (.zero - .longest) ... .longest)
        if decisionWait < .zero {
            section.report("decision_wait", warning: "is negative: traces are decided at the next second")
            decisionWait = .zero
        }
        waitAfterRoot = section.duration("decision_wait_after_root_received", default: .zero)
        numTraces = section.int("num_traces", default: numTraces, in: 1...Int(Int32.max))
        blocksOnOverflow = section.bool("block_on_overflow", default: false)
        _ = section.int("expected_new_traces_per_sec", default: 0)
        section.withoutEffect("expected_new_traces_per_sec", "tables grow with the traces")
        if let cache = section.section("decision_cache") {
            let most = Int(Int32.max)
            sampledCacheSize = cache.int("sampled_cache_size", default: 0, in: 0...most)
            nonSampledCacheSize = cache.int("non_sampled_cache_size", default: 0, in: 0...most)
        }
        samplesOnFirstMatch = section.bool("sample_on_first_match", default: false)
        readStrategy(section)
        dropsPendingAtStop = section.bool("drop_pending_traces_on_shutdown", default: false)
        traceBytesMax = section.int("maximum_trace_size_bytes", default: 0)
        bytesMax = section.int("max_bytes", default: 0)
        section.notSupportedYet(
            "tail_storage", "spans that wait are kept in memory; storage keeps them on disk, too")
        storage = section.componentID("storage")
        if storage != nil, dropsPendingAtStop {
            section.report(
                "drop_pending_traces_on_shutdown",
                error: "drop_pending_traces_on_shutdown is not supported with storage",
                help: "with storage what waits at a stop is found again; remove one of the two")
        }
        readPolicies(section)
        section.finish()
    }

    private mutating func readStrategy(_ section: ConfigSection) {
        let word = section.string("sampling_strategy", default: strategy.rawValue)
        guard let found = Strategy(rawValue: word) else {
            return section.report(
                "sampling_strategy",
                error: "invalid sampling_strategy \"\(word)\", expected one of \"trace-complete\" or "
                    + "\"span-ingest\"")
        }
        strategy = found
    }

    private mutating func readPolicies(_ section: ConfigSection) {
        let sections = section.sectionList("policies") ?? []
        if sections.isEmpty, !section.isBroken("policies") {
            section.report("policies", warning: "there are no policies: no trace is sampled")
        }
        var names: Set<String> = []
        for part in sections {
            let policy = PolicyReader.read(part, .top)
            if policy.name.isEmpty {
                if !part.isBroken("name") { part.report("name", error: "policy name cannot be empty") }
            } else if !names.insert(policy.name).inserted {
                part.report("name", error: "duplicate policy name \"\(policy.name)\"")
            }
            if strategy == .spanIngest, policy.rule != .invalid, policy.make(MemoryLedger()).isStateful {
                part.report(
                    "type",
                    error:
                        "policy \"\(policy.name)\" limits a rate, which sampling_strategy: span-ingest cannot"
                )
            }
            policies.append(policy)
        }
        if !policies.isEmpty, policies.allSatisfy(\.drops) {
            section.report("policies", warning: "there are only policies that drop: no trace is sampled")
        }
    }
}
