import Configuration
import Foundation
import OTLP
import Pipeline
import Testing

@testable import Service

/// What every component owes its users, checked for each line of `Components.swift`. Without it an operator would find keys
/// that no page explains, defaults that are other ones, and examples that do not start.
@Suite("component contract")
struct ComponentContractTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The folder whose sources describe the type.
    private static func folder(of type: ComponentType) -> URL? {
        let kinds = ["receiver": "Receivers", "processor": "Processors", "connector": "Connectors"]
        let parent = root.appending(
            path: "Sources/"
                + (kinds[type.kind.rawValue] ?? (type.kind == .exporter ? "Exporters" : "Extensions")))
        let folders =
            (try? FileManager.default.contentsOfDirectory(at: parent, includingPropertiesForKeys: nil)) ?? []
        return folders.first { folder in
            let files =
                (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil))
                ?? []
            return files.contains { file in
                guard file.pathExtension == "swift", let text = try? String(contentsOf: file, encoding: .utf8)
                else {
                    return false
                }
                return text.contains("ComponentType {") && text.contains("\"\(type.name)\"")
            }
        }
    }

    /// The component's README and those that it points to with `Sources/…/README.md`.
    private static func pages(of type: ComponentType) throws -> (own: String, all: String) {
        let folder = try #require(
            Self.folder(of: type), "no folder describes \(type.kind.rawValue) \(type.name)")
        let own = try String(contentsOf: folder.appending(path: "README.md"), encoding: .utf8)
        var all = own
        for match in own.matches(of: #/Sources/[A-Za-z\/]+README\.md/#) {
            all += try String(contentsOf: root.appending(path: String(match.output)), encoding: .utf8)
        }
        return (own, all)
    }

    /// The YAML blocks of a README that configure this type, as sections.
    private static func examples(_ type: ComponentType, _ page: String) -> [String] {
        page.components(separatedBy: "```yaml").dropFirst().compactMap { block in
            let yaml = block.components(separatedBy: "```")[0]
            let names = ([type.name] + type.aliases.map(\.name)).flatMap { ["  \($0):", "  \($0)/"] }
            return yaml.contains("\(type.kind.section):") && names.contains { yaml.contains($0) } ? yaml : nil
        }
    }

    /// A whole configuration around an example.
    private static func whole(_ example: String, _ type: ComponentType) -> String {
        var yaml = example
        let names = [type.name] + type.aliases.map(\.name)
        let pattern = "(?m)^ +(" + names.joined(separator: "|") + ")(/[^ :]+)?:"
        let id =
            example.range(of: pattern, options: .regularExpression).map {
                example[$0].trimmingCharacters(in: CharacterSet(charactersIn: " :"))
            } ?? type.name
        let signal =
            type.signals.contains(.traces) || type.signals.isEmpty
            ? "traces" : type.signals.contains(.metrics) ? "metrics" : "logs"
        if !yaml.contains("receivers:") { yaml += "\nreceivers: {otlp: {protocols: {grpc: }}}" }
        if !yaml.contains("exporters:") { yaml += "\nexporters: {nop: }" }
        guard !yaml.contains("\nservice:") else { return yaml }
        func list(_ kind: ComponentKind, _ fallback: String) -> String { type.kind == kind ? id : fallback }
        let extensions = type.kind == .extension ? "extensions: [\(id)], " : ""
        return yaml
            + "\nservice: {\(extensions)pipelines: {\(signal): {receivers: [\(list(.receiver, "otlp"))], "
            + "processors: [\(list(.processor, ""))], exporters: [\(list(.exporter, "nop"))]}}}"
    }

    @Test("the README's examples are valid configurations", arguments: builtInComponents)
    func examples(type: ComponentType) throws {
        let page = try Self.pages(of: type).own
        let examples = Self.examples(type, page)
        #expect(!examples.isEmpty, "\(type.kind.rawValue) \(type.name): no example")
        for example in examples {
            let diagnostics = Diagnostics()
            _ = GatewayPlan.load(
                sources: [ConfigSource("yaml:" + Self.whole(example, type))], diagnostics: diagnostics)
            #expect(!diagnostics.hasErrors, "\(type.name): \(diagnostics.render())\n\(example)")
        }
    }

    @Test("the README has every key, with the default that the reader uses", arguments: builtInComponents)
    func keys(type: ComponentType) throws {
        let (own, all) = try Self.pages(of: type)
        let diagnostics = Diagnostics()
        let section = ConfigSection(yaml: "", path: "test", diagnostics: diagnostics)
        _ = type.read(section, ComponentID(type: type.name))
        // A README of two types has a heading for each.
        let parts = own.components(separatedBy: "\n## `\(type.name)`")
        let table = parts.count > 1 ? parts[1].components(separatedBy: "\n## ")[0] : own
        let rows = table.split(separator: "\n").filter { $0.hasPrefix("|") }.map {
            $0.split(separator: "|", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
        }
        for (path, value) in section.keysAsked {
            let key = path.components(separatedBy: "::").last ?? path
            let isThere = ["`\(key)`", "`\(key)::", "::\(key)`"].contains { all.contains($0) }
            #expect(isThere, "\(type.kind.rawValue) \(type.name): `\(path)` is in no README")
            // A row of this key alone, with a default that is a plain word.
            guard let value, let row = rows.first(where: { $0.count > 3 && $0[1] == "`\(key)`" }) else {
                continue
            }
            let told = Self.plain(row[2])
            guard told.allSatisfy({ $0 != " " && $0 != "," }) else { continue }
            #expect(told == Self.plain(value), "\(type.kind.rawValue) \(type.name): the default of `\(path)`")
        }
    }

    /// A default as both sides may write it.
    private static func plain(_ text: String) -> String {
        var text = text.replacingOccurrences(of: "`", with: "").replacingOccurrences(of: "\"", with: "")
        if text.hasSuffix(" seconds"), let seconds = Double(text.dropLast(8)) {
            text = seconds >= 1 || seconds == 0 ? "\(Int(seconds))s" : "\(Int(seconds * 1000))ms"
        }
        if let unit = ["m": 60, "h": 3600][text.suffix(1)], let count = Int(text.dropLast()) {
            text = "\(count * unit)s"
        }
        return ["–", "none", "off", "never", "0s", "[]", ""].contains(text) ? "0" : text
    }

    @Test("a key that nobody knows is refused with its place", arguments: builtInComponents)
    func unknownKey(type: ComponentType) {
        let diagnostics = Diagnostics()
        let section = ConfigSection(yaml: "no_such_key: 1", path: "test", diagnostics: diagnostics)
        _ = type.read(section, ComponentID(type: type.name))
        let text = diagnostics.render()
        #expect(
            text.contains("config.yaml:1:1: error: test: unknown key \"no_such_key\""),
            "\(type.name): \(text)")
    }
}

extension ComponentType: CustomTestStringConvertible {
    /// What the test log calls it.
    public var testDescription: String { "\(kind.rawValue) \(name)" }
}
