/// What a sample is within its metric.
enum SeriesRole: UInt8 {
    /// The value of a counter, a gauge or anything unknown.
    case value
    /// A bucket of a histogram.
    case bucket
    /// A quantile of a summary.
    case quantile
    case sum
    case count
    /// When the metric began to count.
    case created
    /// A native histogram.
    case native
    /// Attributes of the target.
    case targetInfo
    /// Attributes of a scope.
    case scopeInfo
    /// Dropped by relabelling.
    case relabelled
    /// Of a kind that OTLP does not have.
    case unsupported
}

/// The families of a page by name, with what the page says about them. Kept from page to page.
struct FamilyTable {
    /// A family; also made for a series that belongs to no declared one.
    struct Family {
        var type = MetricType.unknown
        var help = ""
        var unit = ""
        /// Counts the changes that make its series other ones.
        var generation: UInt32 = 0
    }

    /// A series' place.
    struct Place {
        let family: Int32
        let type: MetricType
        let role: SeriesRole
        /// The suffix that makes the family's name the series', if the role comes from it.
        var suffix = ""
    }

    private var index = ByteIndex()
    private(set) var families: [Family] = []
    private var textBytes = 0

    /// Memory, about.
    var memoryBytes: Int {
        index.memoryBytes + families.count * MemoryLayout<Family>.stride + textBytes
    }

    /// Suffixes of series that belong to the family without it.
    private static let suffixes = [
        "_bucket", "_sum", "_count", "_total", "_created", "_info", "_gsum", "_gcount",
    ]

    /// The family's number, made when it is new.
    mutating func insert(_ name: Span<UInt8>) -> Int32 {
        let number = index.insert(name)
        if Int(number) == families.count { families.append(Family()) }
        return number
    }

    /// Says of which type a family is.
    mutating func declare(_ name: Span<UInt8>, type: MetricType) {
        if let known = index.find(name) {
            guard families[Int(known)].type != type else { return }
            families[Int(known)].type = type
            families[Int(known)].generation += 1
            return
        }
        families[Int(insert(name))].type = type
        // Series that came before may belong to this family.
        for suffix in Self.suffixes {
            var series: [UInt8] = []
            for index in 0..<name.count { series.append(name[index]) }
            series += suffix.utf8
            if let known = index.find(series.span) { families[Int(known)].generation += 1 }
        }
    }

    mutating func declare(_ name: Span<UInt8>, help: String) {
        let number = Int(insert(name))
        guard families[number].help != help else { return }
        textBytes += help.utf8.count - families[number].help.utf8.count
        families[number].help = help
    }

    mutating func declare(_ name: Span<UInt8>, unit: String) {
        let number = Int(insert(name))
        if families[number].unit != unit { families[number].unit = unit }
    }

    /// Where a series of this name belongs.
    /// - Parameter declared: the type, when the page says it with the series itself.
    mutating func place(_ name: String, hasQuantile: Bool, declaredAs declared: MetricType?) -> Place {
        if let known = index.find(Array(name.utf8).span), families[Int(known)].type != .unknown {
            let type = families[Int(known)].type
            switch type {
            case .histogram:
                return Place(
                    family: known, type: declared == nil ? .unknown : type,
                    role: declared == nil ? .value : .native)
            case .gaugeHistogram: return Place(family: known, type: type, role: .unsupported)
            case .summary:
                return Place(
                    family: known, type: hasQuantile ? type : .unknown, role: hasQuantile ? .quantile : .value
                )
            default: return Place(family: known, type: type, role: .value)
            }
        }
        for suffix in Self.suffixes where name.utf8.count > suffix.utf8.count && name.hasSuffix(suffix) {
            let base = Array(name.utf8.dropLast(suffix.utf8.count))
            guard let known = index.find(base.span),
                let role = Self.role(suffix, of: families[Int(known)].type)
            else { continue }
            return Place(family: known, type: families[Int(known)].type, role: role, suffix: suffix)
        }
        return Place(family: insert(Array(name.utf8).span), type: .unknown, role: .value)
    }

    private static func role(_ suffix: String, of type: MetricType) -> SeriesRole? {
        switch (type, suffix) {
        case (.histogram, "_bucket"): .bucket
        case (.histogram, "_sum"), (.summary, "_sum"): .sum
        case (.histogram, "_count"), (.summary, "_count"): .count
        case (.histogram, "_created"), (.summary, "_created"), (.counter, "_created"): .created
        case (.counter, "_total"), (.info, "_info"): .value
        case (.gaugeHistogram, "_bucket"), (.gaugeHistogram, "_gsum"), (.gaugeHistogram, "_gcount"),
            (.gaugeHistogram, "_sum"), (.gaugeHistogram, "_count"):
            .unsupported
        default: nil
        }
    }
}
