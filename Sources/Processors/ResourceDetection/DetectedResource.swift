internal import Configuration
package import Logging
package import NIOCore
package import OTLP
package import Pipeline
import Synchronization

/// What a detector found.
package struct DetectedAttribute: Sendable, Equatable {
    let name: String
    let value: ConfigValue

    init(_ name: String, _ value: ConfigValue) {
        self.name = name
        self.value = value
    }

    init(_ name: String, _ text: String) { self.init(name, .string(text)) }
}

/// Why a detector found nothing though it should have.
struct DetectionError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// The attributes of all detectors of one processor: detected at the start, and again when that is wanted. Shared by the
/// pipelines that name it. Any thread.
package final class DetectedResource: Component {
    /// An attribute as it is set.
    package struct Entry: Sendable, Equatable {
        package let key: OwnedBytes
        package let value: OwnedValue
    }

    private static let firstPause = Duration.seconds(1)

    private let config: ResourceDetectionConfig
    private let probe: Probe
    private let logger: Logger
    private let state = Mutex<[Entry]>([])
    private let refresh = Mutex<Task<Void, Never>?>(nil)

    package init(_ config: ResourceDetectionConfig, _ probe: Probe, logger: Logger) {
        self.config = config
        self.probe = probe
        self.logger = logger
    }

    /// What is set on resources now.
    package var attributes: [Entry] { state.withLock { $0 } }

    /// Detects; fails when a detector does, still, after the timeout.
    package func start() async throws {
        let found = try await detect()
        state.withLock { $0 = found }
        logger.info(
            "Detected the resource.",
            metadata: ["attributes": "\(found.map { $0.key.text }.joined(separator: ","))"])
        guard config.refreshInterval > .zero else { return }
        let task = Task { [weak self, interval = config.refreshInterval] in
            while true {
                do { try await Task.sleep(for: interval) } catch { return }
                guard let self else { return }
                await self.detectAgain()
            }
        }
        refresh.withLock { $0 = task }
    }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        let task = refresh.withLock { $0.take() }
        task?.cancel()
        await task?.value
        return Remainder()
    }

    /// A failure leaves what was found before.
    private func detectAgain() async {
        do {
            let found = try await detect()
            state.withLock { $0 = found }
        } catch {
            logger.warning(
                "The resource could not be detected again. What was found before stays.",
                metadata: ["error": "\(error)"])
        }
    }

    /// All detectors at once; of several values of an attribute that of the first detector in the list counts.
    private func detect() async throws -> [Entry] {
        let results = try await withThrowingTaskGroup(of: (Int, [DetectedAttribute]).self) { group in
            for (index, kind) in config.detectors.enumerated() {
                group.addTask { (index, try await self.detect(kind)) }
            }
            var results: [Int: [DetectedAttribute]] = [:]
            for try await (index, found) in group { results[index] = found }
            return results
        }
        var names: Set<String> = []
        var entries: [Entry] = []
        for (index, kind) in config.detectors.enumerated() {
            for attribute in results[index] ?? []
            where config.wants(attribute.name, of: kind) && names.insert(attribute.name).inserted {
                entries.append(Entry(key: OwnedBytes(attribute.name), value: attribute.value.owned))
            }
        }
        return entries
    }

    /// Tries one detector until the timeout, with longer and longer pauses.
    private func detect(_ kind: DetectorKind) async throws -> [DetectedAttribute] {
        let clock = ContinuousClock()
        let end = clock.now + config.timeout
        var pause = Self.firstPause
        while true {
            let left = clock.now.duration(to: end)
            do {
                return try await kind.detect(config, probe.within(left))
            } catch let error as DetectionError {
                guard clock.now + pause < end else {
                    throw ComponentError("detector \(kind.rawValue): \(error.description)")
                }
                logger.debug(
                    "A detector failed.", metadata: ["detector": "\(kind.rawValue)", "error": "\(error)"])
            }
            try await Task.sleep(for: pause)
            pause *= 2
        }
    }
}
