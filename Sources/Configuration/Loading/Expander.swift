/// Replaces `${env:X}`, `${X}`, `${env:X:-default}`, `${file:/path}`, `${yaml:text}` and `${https://host/path}` in values
/// (never in keys), innermost first, and `$$` by `$`.
///
/// A reference that is a whole value brings a typed value (number, boolean, list, section), though a text field
/// still gets the original characters; within a longer text it is inserted as text. What comes in is expanded in
/// turn. A variable that is not set is empty, with a warning.
struct Expander {
    /// References in one text.
    private static let mostInOneText = 100
    /// References followed for one value, counting those found in what was brought in.
    private static let mostInAll = 1000
    /// References within references.
    private static let deepest = 100

    private let environment: ConfigEnvironment
    private let diagnostics: Diagnostics
    private var order: Int
    private var followed = 0
    private var failures = 0

    /// - Parameter order: Number of texts read so far; what is brought in comes after them.
    init(environment: ConfigEnvironment, diagnostics: Diagnostics, order: Int) {
        self.environment = environment
        self.diagnostics = diagnostics
        self.order = order
    }

    /// Where the reference stands, for messages.
    private struct Place {
        let path: String
        let origin: ConfigOrigin
        var depth = 0

        var deeper: Place { Place(path: path, origin: origin, depth: depth + 1) }
    }

    /// The value with everything in it expanded; what cannot be becomes null, with an error.
    mutating func expand(_ node: ConfigNode, path: String) -> ConfigNode {
        followed = 0
        return expand(node, Place(path: path, origin: node.origin))
    }

    private mutating func expand(_ node: ConfigNode, _ place: Place) -> ConfigNode {
        var result = node
        switch node.content {
        case .null, .bool, .int, .double: break
        case .string(let text):
            guard text.utf8.contains(UInt8(ascii: "$")) else { break }
            return expand(text: text, node, place)
        case .list(let items):
            result.content = .list(
                items.enumerated().map { index, item in
                    expandInside(item, place.path + "::\(index)", place)
                })
        case .map(var map):
            for index in map.entries.indices {
                let entry = map.entries[index]
                let path = place.path.isEmpty ? entry.key : place.path + "::" + entry.key
                map.entries[index].value = expandInside(entry.value, path, place)
            }
            result.content = .map(map)
        }
        return result
    }

    private mutating func expandInside(_ node: ConfigNode, _ path: String, _ place: Place) -> ConfigNode {
        if place.depth == 0 { followed = 0 }
        return expand(node, Place(path: path, origin: node.origin, depth: place.depth))
    }

    private mutating func expand(text: String, _ node: ConfigNode, _ place: Place) -> ConfigNode {
        let bytes = Array(text.utf8)
        if let end = Self.referenceEnd(bytes, 0), end == bytes.count {
            guard let inner = insert(Array(bytes[2..<end - 1]), place.deeper),
                var value = resolve(inner, place.deeper)
            else { return ConfigNode(.null, origin: node.origin) }
            if value.isScalar { value.origin = node.origin }
            return value
        }
        guard let expanded = insert(bytes, place) else { return ConfigNode(.null, origin: node.origin) }
        return ConfigNode(.string(expanded), original: expanded, isExpanded: true, origin: node.origin)
    }

    /// The index behind the `}` that closes the `${` at `start`; nil when there is none.
    private static func referenceEnd(_ bytes: [UInt8], _ start: Int) -> Int? {
        guard start + 1 < bytes.count, bytes[start] == UInt8(ascii: "$"),
            bytes[start + 1] == UInt8(ascii: "{")
        else { return nil }
        var depth = 1
        var index = start + 2
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "$"), index + 1 < bytes.count {
                if bytes[index + 1] == UInt8(ascii: "{") { depth += 1 }
                if bytes[index + 1] == UInt8(ascii: "{") || bytes[index + 1] == UInt8(ascii: "$") {
                    index += 2
                    continue
                }
            }
            if bytes[index] == UInt8(ascii: "}") {
                depth -= 1
                if depth == 0 { return index + 1 }
            }
            index += 1
        }
        return nil
    }

    /// A text with all its references inserted as text.
    private mutating func insert(_ bytes: [UInt8], _ place: Place) -> String? {
        var out: [UInt8] = []
        var index = 0
        var references = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "$") else {
                out.append(bytes[index])
                index += 1
                continue
            }
            if index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "$") {
                out.append(UInt8(ascii: "$"))
                index += 2
            } else if let end = Self.referenceEnd(bytes, index) {
                references += 1
                guard references <= Self.mostInOneText else {
                    return fail("has more than \(Self.mostInOneText) references in one text", place)
                }
                guard let inner = insert(Array(bytes[index + 2..<end - 1]), place.deeper),
                    let value = resolve(inner, place.deeper), let text = asText(value, inner, place)
                else { return nil }
                out += text.utf8
                index = end
            } else {
                out.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private mutating func asText(_ value: ConfigNode, _ reference: String, _ place: Place) -> String? {
        // What came in is inserted as it is, whatever it would mean as YAML.
        if value.isScalar || value.isExpanded { return value.original }
        return fail(
            "\(quoted("${\(reference)}")) gives \(value.inWords), which cannot stand inside a text", place)
    }

    private mutating func fail<Value>(_ message: String, _ place: Place, help: String? = nil) -> Value? {
        diagnostics.error(message, path: place.path, at: place.origin, help: help)
        failed(place)
        return nil
    }

    /// The value is missing: what its reader says to that is no second error.
    private mutating func failed(_ place: Place) {
        failures += 1
        let parts = place.path.split(separator: "::", omittingEmptySubsequences: false)
        diagnostics.noteIncomplete(parts.dropLast().joined(separator: "::"))
    }

    /// The value behind a reference, its own references followed.
    private mutating func resolve(_ reference: String, _ place: Place) -> ConfigNode? {
        followed += 1
        guard followed <= Self.mostInAll, place.depth <= Self.deepest else {
            return fail(
                "follows more than \(Self.mostInAll) references or \(Self.deepest) within each other; "
                    + "does one lead back to itself?", place)
        }
        if let (scheme, rest) = schemeAndRest(reference), !rest.hasPrefix("-") || scheme == "env" {
            switch scheme {
            case "env": return variable(rest, place)
            case "file": return file(rest, place)
            case "http", "https": return answer(reference, place)
            case "yaml": return typed(rest, name: "yaml", place)
            default:
                // Schemes are written small, variables in capitals: a default as other programs write it, and perhaps a
                // secret.
                let isDefault = isVariableName(scheme) && scheme.uppercased() == scheme
                return fail(
                    "scheme \(quoted(scheme)) of \(quoted("${\(isDefault ? scheme + ":…" : reference)}")) is not supported",
                    place,
                    help: isDefault
                        ? "for a default write ${env:\(scheme):-…}"
                        : "use env, file, yaml, http or https; write $${ for a literal ${")
            }
        }
        return variable(reference, place)
    }

    private mutating func variable(_ reference: String, _ place: Place) -> ConfigNode? {
        var name = reference
        var fallback: String?
        if let mark = Self.fallbackMark(reference) {
            name = String(reference[..<mark])
            fallback = String(reference[mark...].dropFirst(2))
        }
        guard isVariableName(name) else {
            // Other programs write the default behind the colon alone.
            let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let hasDefault = parts.count == 2 && isVariableName(String(parts[0]))
            return fail(
                ConfigLoader.badName(hasDefault ? "\(parts[0]):…" : name), place,
                help: hasDefault
                    ? "for a default write ${env:\(parts[0]):-…}" : "write $${ for a literal ${")
        }
        if let value = environment.variable(name) { return typed(value, name: "env:" + name, place) }
        if let fallback {
            // A default that says "nothing" means it; a value that looks like it may be a password.
            let value = typed(fallback, name: "env:" + name, place)
            return value?.isNull == true ? ConfigNode(.null, isExpanded: true, origin: place.origin) : value
        }
        diagnostics.warning(
            "environment variable \(quoted(name)) is not set; the value is empty", path: place.path,
            at: place.origin, help: "write ${env:\(name):-default} to give a default")
        return ConfigNode(.null, isExpanded: true, origin: place.origin)
    }

    /// Where the first `:-` begins.
    private static func fallbackMark(_ text: String) -> String.Index? {
        var index = text.startIndex
        while index < text.endIndex {
            if text[index...].hasPrefix(":-") { return index }
            index = text.index(after: index)
        }
        return nil
    }

    private mutating func file(_ path: String, _ place: Place) -> ConfigNode? {
        switch environment.file(path) {
        case .failure(let error): return fail("file \(quoted(path)) \(error.message)", place)
        case .success(var text):
            // Editors end files with a line feed; a token read from one does not have it.
            if text.last?.isNewline ?? false { text.removeLast() }
            return typed(text, name: path, place)
        }
    }

    private mutating func answer(_ url: String, _ place: Place) -> ConfigNode? {
        switch environment.url(url) {
        case .failure(let error):
            diagnostics.error(
                "\(quoted(withoutUser(url))) \(error.message)", path: place.path, at: place.origin,
                help: "name a server that answers 200", showsLine: withoutUser(url) == url)
            failed(place)
            return nil
        case .success(var text):
            if text.last?.isNewline ?? false { text.removeLast() }
            return typed(text, name: withoutUser(url), place)
        }
    }

    /// A text as the value it spells in YAML, or as itself when it is no YAML.
    private mutating func typed(_ text: String, name: String, _ place: Place) -> ConfigNode? {
        order += 1
        let source = ConfigText(name: name, order: order, text: text)
        let verbatim = ConfigNode(.string(text), original: text, isExpanded: true, origin: place.origin)
        var node = YAMLReader.read(text, source, Diagnostics()) ?? verbatim
        if case .string = node.content {
            node = verbatim
        } else {
            node.original = text
            node.isExpanded = true
        }
        let before = failures
        let expanded = expand(node, place)
        return failures == before ? expanded : nil
    }
}
