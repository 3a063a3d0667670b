internal import Configuration

/// Targets that were found together, with the labels that they have in common.
struct TargetGroup: Sendable, Equatable {
    /// Who found them: a group replaces the one of the same source.
    var source: String
    /// Labels of each target, `__address__` at least.
    var targets: [LabelSet]
    /// Labels of all of them.
    var labels = LabelSet()

    init(source: String, targets: [LabelSet], labels: LabelSet = LabelSet()) {
        self.source = source
        self.targets = targets
        self.labels = labels
    }

    /// Reads `targets` and `labels`; problems go to the section's diagnostics.
    init(_ section: ConfigSection, source: String) {
        self.init(source: source, targets: [])
        for address in section.scalarList("targets") ?? [] {
            guard !address.isEmpty, !address.contains("/") else {
                section.report(
                    "targets", error: "\"\(address)\" is not a valid address",
                    help: "write host:port; the path belongs under metrics_path, http or https under scheme")
                continue
            }
            targets.append(LabelSet(sorted: [Label(Label.address, address)]))
        }
        if targets.isEmpty, !section.has("targets") {
            section.report(nil, error: "requires \"targets\"", help: "write targets: [host:port]")
        }
        labels = LabelSet(section.labels("labels"))
    }
}

extension Label {
    /// The label of a target's `host:port`.
    static let address = "__address__"
}

/// Finds targets. Made and used on one event loop, which it never blocks.
protocol Discovery: AnyObject {
    /// Begins to look.
    /// - Parameter update: gets everything that is known, each time that something changed.
    func start(_ update: @escaping ([TargetGroup]) -> Void)
    /// Ends; `update` is not called any more.
    func stop()
}

/// `static_configs`: targets that are there from the beginning.
final class StaticDiscovery: Discovery {
    private let groups: [TargetGroup]

    init(_ groups: [TargetGroup]) { self.groups = groups }

    func start(_ update: @escaping ([TargetGroup]) -> Void) { update(groups) }

    func stop() {}
}
