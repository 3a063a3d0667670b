/// A name with its value.
struct Label: Sendable, Hashable {
    var name: String
    var value: String

    init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    /// The label that holds a metric's name.
    static let metricName = "__name__"
}

/// The labels of a target or of a series while they are put together: each name once, sorted by name, no empty values.
///
/// As in Prometheus, a label with an empty value is the same as no label.
struct LabelSet: Sendable, Equatable {
    private(set) var labels: [Label]

    /// An empty set.
    init() { labels = [] }

    /// Labels that are sorted by name, each name once.
    init(sorted labels: [Label]) { self.labels = labels }

    /// Labels in any order; of a name that occurs twice the later one counts.
    init(_ pairs: some Sequence<Label>) {
        self.init()
        for label in pairs { self[label.name] = label.value }
    }

    /// The value of a label; empty for a label that is not there. Setting it to nothing takes the label away.
    subscript(name: String) -> String {
        get {
            let (index, isThere) = find(name)
            return isThere ? labels[index].value : ""
        }
        set {
            let (index, isThere) = find(name)
            switch (isThere, newValue.isEmpty) {
            case (true, false): labels[index].value = newValue
            case (true, true): labels.remove(at: index)
            case (false, false): labels.insert(Label(name, newValue), at: index)
            case (false, true): break
            }
        }
    }

    /// Whether the label is there.
    func contains(_ name: String) -> Bool { find(name).isThere }

    /// Takes labels away.
    mutating func removeAll(where isUnwanted: (Label) -> Bool) {
        labels.removeAll(where: isUnwanted)
    }

    private func find(_ name: String) -> (index: Int, isThere: Bool) {
        var low = 0
        var high = labels.count
        while low < high {
            let middle = (low + high) / 2
            if labels[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return (low, low < labels.count && labels[low].name == name)
    }
}
