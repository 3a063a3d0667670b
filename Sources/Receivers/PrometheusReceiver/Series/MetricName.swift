/// The name of the OTLP metric that a series belongs to, after relabelling.
struct MetricName: Equatable {
    private(set) var name: String
    let type: MetricType
    let role: SeriesRole

    /// - Parameters:
    ///   - name: the series' `__name__` after relabelling.
    ///   - place: where the series belonged on the page.
    init(_ name: String, _ place: FamilyTable.Place) {
        switch place.role {
        case .bucket, .sum, .count, .created:
            // A series renamed so that it lost its suffix is no part of its histogram any more.
            guard name.hasSuffix(place.suffix), name.utf8.count > place.suffix.utf8.count else {
                self.init(name, .unknown, .value)
                return
            }
            let base = String(name.dropLast(place.suffix.count))
            // A counter is called as its series is.
            self.init(
                place.role == .created && place.type == .counter ? base + "_total" : base, place.type,
                place.role)
        default: self.init(name, place.type, place.role)
        }
    }

    private init(_ name: String, _ type: MetricType, _ role: SeriesRole) {
        self.name = name
        self.type = type
        self.role = role
    }

    /// Cuts `_total` off a counter, then the unit.
    mutating func trim(unit: String) {
        if type == .counter { drop("_total") }
        if !unit.isEmpty { drop("_" + unit) }
    }

    private mutating func drop(_ suffix: String) {
        if name.hasSuffix(suffix), name.utf8.count > suffix.utf8.count { name.removeLast(suffix.count) }
    }
}

/// A unit of OpenMetrics as OTLP writes it (UCUM); others as they are.
func otlpUnit(_ unit: String) -> String {
    let words = unit.split(separator: "_per_", maxSplits: 1)
    let names = words.enumerated().map { index, word in
        (index == 0 ? mainUnits[String(word)] : rateUnits[String(word)]) ?? String(word)
    }
    return names.joined(separator: "/")
}

private let mainUnits = [
    "days": "d", "hours": "h", "minutes": "min", "seconds": "s", "milliseconds": "ms", "microseconds": "us",
    "nanoseconds": "ns", "bytes": "By", "kibibytes": "KiBy", "mebibytes": "MiBy", "gibibytes": "GiBy",
    "tibibytes": "TiBy", "kilobytes": "KBy", "megabytes": "MBy", "gigabytes": "GBy", "terabytes": "TBy",
    "meters": "m", "volts": "V", "amperes": "A", "joules": "J", "watts": "W", "grams": "g", "celsius": "Cel",
    "hertz": "Hz", "ratio": "1", "percent": "%",
]

private let rateUnits = [
    "second": "s", "minute": "m", "hour": "h", "day": "d", "week": "w", "month": "mo", "year": "y",
]
