// Lists of what is no text.

extension ConfigSection {
    /// A list of lists of texts; empty when absent.
    package func stringLists(_ key: String) -> [[String]] {
        elements(key) { item in
            guard case .list(let parts) = item.content else { return nil }
            let texts = parts.compactMap { part -> String? in
                if case .string(let text) = part.content { return text }
                return nil
            }
            return texts.count == parts.count ? texts : nil
        } expected: {
            "a list of texts"
        } ?? []
    }

    /// A list of texts that must not be shown; empty when absent.
    package func secretList(_ key: String) -> [Secret] {
        paths.secrets.insert(path(of: key))
        return elements(key) { item in
            if case .string(let text) = item.content { return Secret(text) }
            return item.isScalar && !item.isNull ? Secret(item.original) : nil
        } expected: {
            "a text"
        } ?? []
    }

    /// A list of numbers; nil when absent.
    package func doubleList(_ key: String) -> [Double]? {
        elements(key) { item in
            switch item.content {
            case .int(let number): Double(number)
            case .double(let number): number
            default: nil
            }
        } expected: {
            "a number"
        }
    }

    /// A list of durations such as `2ms`; nil when absent.
    package func durationList(_ key: String) -> [Duration]? {
        elements(key) { item in
            switch item.content {
            case .int(0): .zero
            case .string(let text): parseDuration(text)
            default: nil
            }
        } expected: {
            "a duration such as 2ms"
        }
    }

    private func elements<Element>(
        _ key: String, read: (ConfigNode) -> Element?, expected: () -> String
    ) -> [Element]? {
        guard let entry = take(key) else { return nil }
        guard case .list(let items) = entry.value.content else {
            wrongType(entry, expected: "a list")
            return nil
        }
        return items.enumerated().compactMap { index, item in
            if let element = read(item) { return element }
            diagnostics.error(
                "expected \(expected()), found \(item.inWords)", path: path(of: key) + "::\(index)",
                at: item.origin)
            return nil
        }
    }
}

/// A text or number as it is written.
package enum PlainScalar: Sendable, Equatable {
    case text(String)
    case int(Int64)
    case double(Double)
    case bool(Bool)
}

extension ConfigSection {
    /// A text, number or boolean, whatever it is; nil when absent.
    package func plainScalar(_ key: String) -> PlainScalar? {
        guard let entry = take(key) else { return nil }
        switch entry.value.content {
        case .string(let text): return .text(text)
        case .int(let number): return .int(Int64(number))
        case .double(let number): return .double(number)
        case .bool(let flag): return .bool(flag)
        default:
            wrongType(entry, expected: "a text or a number")
            return nil
        }
    }
}
