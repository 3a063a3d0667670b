/// Reads all sources, merges them in order, applies the overrides, expands `${…}`.
///
/// Sections merge deeply, later scalars and lists replace earlier ones, and an empty (null) value removes what was
/// there. Expansion comes last, so an override may replace a value before it is expanded.
struct ConfigLoader {
    private let environment: ConfigEnvironment
    private let diagnostics: Diagnostics
    private var order = 0

    /// - Returns: The merged and expanded top section with its origin; nil when a source could not be read (an
    ///   error says so).
    static func load(
        sources: [ConfigSource], overrides: [String], environment: ConfigEnvironment, diagnostics: Diagnostics
    ) -> ConfigNode? {
        var loader = ConfigLoader(environment: environment, diagnostics: diagnostics)
        guard !sources.isEmpty else {
            diagnostics.error("no configuration given", help: "name a file: --config gateway.yaml")
            return nil
        }
        var parts: [ConfigNode?] = sources.map { loader.read($0) }
        parts += overrides.map { loader.override($0) }
        guard var top = parts.first ?? nil else { return nil }
        var merged = ConfigMap()
        for part in parts {
            guard let part else { return nil }
            if case .map(let map) = part.content { merged.merge(map) }
        }
        top.content = .map(merged)
        var expander = Expander(environment: environment, diagnostics: diagnostics, order: loader.order)
        return expander.expand(top, path: "")
    }

    private init(environment: ConfigEnvironment, diagnostics: Diagnostics) {
        self.environment = environment
        self.diagnostics = diagnostics
    }

    // MARK: Sources

    private mutating func read(_ source: ConfigSource) -> ConfigNode? {
        switch source {
        case .file(let path):
            switch environment.file(path) {
            case .success(let yaml): return document(yaml, name: path)
            case .failure(let error):
                diagnostics.error(
                    "configuration file \(quoted(path)) \(error.message)",
                    help: "name a file that is there and may be read: --config gateway.yaml")
                return nil
            }
        case .environment(let name):
            guard isVariableName(name) else {
                diagnostics.error(Self.badName(name), help: "write --config env:NAME")
                return nil
            }
            guard let yaml = environment.variable(name) else {
                diagnostics.error(
                    "environment variable \(quoted(name)), named by --config, is not set",
                    help: "set it to the YAML itself; for a file write --config PATH")
                return nil
            }
            return document(yaml, name: "env:" + name)
        case .yaml(let yaml):
            return document(yaml, name: "yaml")
        case .url(let url):
            switch environment.url(url) {
            case .success(let yaml): return document(yaml, name: withoutUser(url))
            case .failure(let error):
                diagnostics.error(
                    "configuration \(quoted(withoutUser(url))) \(error.message)",
                    help: "name a server that answers 200 with YAML, or a file: --config gateway.yaml")
                return nil
            }
        case .unsupported(let scheme, let argument):
            diagnostics.error(
                "--config \(quoted(argument)): scheme \(quoted(scheme)) is not supported",
                help: "use a file path, file:PATH, env:NAME, yaml:TEXT or a URL; "
                    + "write file:\(argument) for a file of that name")
            return nil
        }
    }

    static func badName(_ name: String) -> String {
        "environment variable \(quoted(name)) has an invalid name: must match ^[a-zA-Z_][a-zA-Z0-9_]*$"
    }

    private mutating func nextText(_ text: String, name: String) -> ConfigText {
        order += 1
        return ConfigText(name: name, order: order, text: text)
    }

    private mutating func document(_ yaml: String, name: String) -> ConfigNode? {
        let text = nextText(yaml, name: name)
        guard let node = YAMLReader.read(yaml, text, diagnostics) else { return nil }
        switch node.content {
        case .map, .null: return node
        default:
            diagnostics.error(
                "expected sections such as \"receivers:\" at the top, found \(node.inWords)", at: node.origin,
                help: "begin with receivers:, exporters: and service:, each with its keys below it, indented")
            return nil
        }
    }

    // MARK: Overrides

    /// `a.b.c=value`, the value read as YAML. Dots (and `::`) open sections.
    private mutating func override(_ argument: String) -> ConfigNode? {
        let text = nextText(argument, name: "--set")
        let start = ConfigOrigin(text: text, line: 1, column: 1, width: argument.unicodeScalars.count)
        guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else {
            diagnostics.error("an override must look like key=value", at: start, help: Self.overrideHelp)
            return nil
        }
        // Spaces instead of the key keep the columns of the value.
        let key = String(argument[..<equals])
        let value = String(argument[argument.index(after: equals)...])
        let indentation = String(repeating: " ", count: key.unicodeScalars.count + 1)
        guard var node = YAMLReader.read(indentation + value, text, diagnostics) else { return nil }
        if node.isNull { node.origin = start }
        let keyOrigin = ConfigOrigin(text: text, line: 1, column: 1, width: key.unicodeScalars.count)
        let dotted = String(key.split(separator: ":", omittingEmptySubsequences: true).joined(separator: "."))
        guard !dotted.split(separator: ".", omittingEmptySubsequences: false).contains("") else {
            diagnostics.error("the key \(quoted(key)) has an empty part", at: start, help: Self.overrideHelp)
            return nil
        }
        let (first, nested) = YAMLReader.unfold(dotted, keyOrigin, node, separator: ".")
        var map = ConfigMap()
        map.set(first, keyOrigin, nested)
        return ConfigNode(.map(map), origin: start)
    }

    private static let overrideHelp = "for example: --set processors.batch.timeout=2s"
}
