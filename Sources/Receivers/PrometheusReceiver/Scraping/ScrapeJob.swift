internal import Configuration
internal import HTTP
internal import Logging
internal import NIOCore
internal import Pipeline

/// What the targets of one job share. Any thread.
struct ScrapeJobParts: Sendable {
    let config: ScrapeConfig
    /// But for the target's own labels.
    let rules: SeriesRules
    let input: PipelineInput
    let counters: ScrapeCounters
    /// nil when nothing in the job asks for TLS.
    let tls: ClientTLS?
    let userAgent: String
    let logger: Logger
}

extension SeriesRules {
    /// The rules that a job gives all its targets.
    init(_ config: ScrapeConfig) {
        self.init()
        honorsLabels = config.honorsLabels
        honorsTimestamps = config.honorsTimestamps
        tracksTimestampsStaleness = config.tracksTimestampsStaleness
        trimsSuffixes = config.trimsSuffixes
        relabelling = config.metricRelabelling
        sampleLimit = config.limits.samplesMax
        labelLimit = config.limits.labels
        labelNameLengthLimit = config.limits.labelNameLength
        labelValueLengthLimit = config.limits.labelValueLength
    }
}

/// One entry of `scrape_configs` at work: keeps a loop for each target that discovery finds. Made on any thread, used on
/// one event loop.
final class ScrapeJob: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): everything but constants is touched on `eventLoop` only.
    private let parts: ScrapeJobParts
    let eventLoop: any EventLoop
    private let tools: [ScrapeTools]
    private let makeDiscoveries: @Sendable (any EventLoop) -> [any Discovery]
    private var discoveries: [any Discovery] = []
    private var groups: [Int: [TargetGroup]] = [:]
    private var loops: [ScrapeTarget: (ScrapeLoop, any EventLoop)] = [:]
    private var isStopped = false

    init(
        _ parts: ScrapeJobParts, eventLoop: any EventLoop, tools: [ScrapeTools],
        discoveries: @escaping @Sendable (any EventLoop) -> [any Discovery]
    ) {
        self.parts = parts
        self.eventLoop = eventLoop
        self.tools = tools
        makeDiscoveries = discoveries
    }

    /// Begins to look for targets.
    func start() {
        discoveries = makeDiscoveries(eventLoop)
        for (index, discovery) in discoveries.enumerated() {
            discovery.start { [weak self] groups in
                self?.groups[index] = groups
                self?.update()
            }
        }
    }

    /// Ends all scrapes. What their series say last stands.
    func stop() {
        isStopped = true
        for discovery in discoveries { discovery.stop() }
        for (loop, eventLoop) in loops.values { eventLoop.execute { loop.stop(isGone: false) } }
        parts.counters.targets.add(-loops.count)
        loops = [:]
    }

    private func update() {
        guard !isStopped else { return }
        let targets = self.targets()
        let limit = parts.config.limits.targets
        let disabledReason: ScrapeFailure? =
            limit > 0 && targets.count > limit ? .targetLimit(targets.count, limit: limit) : nil
        for (target, (loop, eventLoop)) in loops {
            let isGone = !targets.contains(target)
            eventLoop.execute { isGone ? loop.stop(isGone: true) : loop.setDisabledReason(disabledReason) }
            if isGone { loops[target] = nil }
        }
        for target in targets where loops[target] == nil {
            let tools = tools[Int(target.offset.wholeNanoseconds % Int64(tools.count))]
            let loop = ScrapeLoop(target, job: parts, tools: tools)
            loops[target] = (loop, tools.eventLoop)
            tools.eventLoop.execute { loop.start(disabledReason: disabledReason) }
        }
    }

    private func targets() -> Set<ScrapeTarget> {
        var targets: Set<ScrapeTarget> = []
        let before = loops.count
        for group in groups.values.joined() {
            for labels in group.targets {
                do throws(ScrapeTarget.Problem) {
                    if let target = try ScrapeTarget.make(labels, in: group, of: parts.config) {
                        targets.insert(target)
                    }
                } catch {
                    parts.logger.warning(
                        "A target cannot be scraped.",
                        metadata: [
                            "job": "\(parts.config.name)", "source": "\(group.source)",
                            "error": "\(error.text)",
                        ])
                }
            }
        }
        parts.counters.targets.add(targets.count - before)
        return targets
    }
}
