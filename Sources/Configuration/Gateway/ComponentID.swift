package import OTLP

/// What a connector does: takes `from` as an exporter of one pipeline and gives `to` as a receiver of another.
package struct SignalPair: Sendable, Hashable, CustomStringConvertible {
    package let from: Signal
    package let to: Signal

    package init(_ from: Signal, _ to: Signal) {
        self.from = from
        self.to = to
    }

    package var description: String { "\(from.name) to \(to.name)" }
}

/// The five kinds of components; the raw value is the singular noun of messages.
package enum ComponentKind: String, Sendable, CaseIterable {
    case receiver
    case processor
    case exporter
    case connector
    case `extension`

    /// The top-level section that configures this kind.
    package var section: String { rawValue + "s" }
}

/// The name of a component in a configuration: `type` or `type/name`.
package struct ComponentID: Hashable, Sendable, CustomStringConvertible {
    /// The type as written, such as `otlp`; an alias stays as it is.
    package let type: String
    /// What follows the `/`; empty when nothing does.
    package let name: String

    package init(type: String, name: String = "") {
        self.type = type
        self.name = name
    }

    /// Reads an id: a type of letters, digits and `_` that begins with a letter (63 characters at most), then
    /// optionally `/` and a name without spaces and control characters (1024 at most). Spaces around are dropped.
    package init?(_ text: String) {
        let trimmed = text.trimmed
        let type: String
        var name = ""
        if let slash = trimmed.firstIndex(of: "/") {
            type = String(trimmed[..<slash]).trimmed
            name = String(trimmed[trimmed.index(after: slash)...]).trimmed
            guard !name.isEmpty, name.unicodeScalars.count <= 1024 else { return nil }
            let isClean = name.unicodeScalars.allSatisfy { scalar in
                scalar.value > 0x20 && scalar.value != 0x7f && !scalar.properties.isWhitespace
            }
            guard isClean else { return nil }
        } else {
            type = trimmed
        }
        guard let first = type.utf8.first, isLetter(first), type.utf8.count <= 63, isVariableName(type) else {
            return nil
        }
        self.init(type: type, name: name)
    }

    package var description: String { name.isEmpty ? type : type + "/" + name }
}

/// The name of a pipeline: `signal` or `signal/name`.
package struct PipelineID: Hashable, Sendable, CustomStringConvertible {
    package let signal: Signal
    /// What follows the `/`; empty when nothing does.
    package let name: String

    package init(signal: Signal, name: String = "") {
        self.signal = signal
        self.name = name
    }

    package var description: String { name.isEmpty ? signal.name : signal.name + "/" + name }
}

extension String {
    /// Without blanks at both ends.
    package var trimmed: String {
        var rest = Substring(self)
        while rest.first?.isWhitespace ?? false { rest.removeFirst() }
        while rest.last?.isWhitespace ?? false { rest.removeLast() }
        return String(rest)
    }
}
