package import Configuration
internal import HTTP
internal import Logging
package import NIOCore
package import Pipeline

/// The keys of the `headers_setter` extension.
package struct HeadersSetterConfig: ComponentConfig {
    /// One entry of `headers`.
    package struct Header: Sendable, Equatable {
        /// Where a value comes from.
        package enum Source: Sendable, Equatable {
            /// Key `value`.
            case value(Secret)
            /// Read again every second. Key `value_file`.
            case file(String)
            /// The client's header field of this name, in small letters. Key `from_context`.
            case metadata(String)
            /// For `action: delete`.
            case none
        }

        /// Default upsert. Key `action`.
        package var action = HeaderEdit.Action.upsert
        /// Required. Key `key`.
        package var name = ""
        package var source = Source.none
        /// When the client sent none. Default empty. Key `default_value`.
        package var defaultValue = ""
    }

    /// Required, at least one. Key `headers`.
    package var headers: [Header] = []

    package init(_ section: ConfigSection) {
        section.notSupportedYet("additional_auth", "write what it adds under headers, too")
        let entries = section.sectionList("headers") ?? []
        if entries.isEmpty, !section.isBroken("headers") {
            section.report(
                section.has("headers") ? "headers" : nil, error: "missing headers configuration",
                help: "write headers: [{action: upsert, key: X-Scope-OrgID, value: acme}]")
        }
        headers = entries.map { Header($0) }
        section.finish()
    }
}

extension HeadersSetterConfig.Header {
    fileprivate init(_ section: ConfigSection) {
        name = section.string("key", default: "")
        if name.isEmpty, !section.isBroken("key") {
            section.report(section.has("key") ? "key" : nil, error: "missing header name")
        }
        if section.has("action") {
            action = section.choice("action", default: .upsert)
        } else {
            section.accept("action")
            section.report(nil, warning: "has no action; upsert is used", help: "write action: upsert")
        }
        let value = section.secret("value")
        let file = section.readableFile("value_file")
        let metadata = section.optionalString("from_context")
        section.notSupportedYet(
            "from_attribute", "receivers know of no authenticated users; use from_context, or a value")
        defaultValue = section.optionalString("default_value") ?? ""
        let keys = ["value", "value_file", "from_context", "from_attribute"].filter(section.has)
        if action == .delete {
            source = .none
        } else if keys.isEmpty {
            section.report(
                nil,
                error:
                    "missing header source, must be 'from_context', 'from_attribute', 'value', or 'value_file'",
                help: "write value: and the text of the header")
        } else if keys.count > 1 {
            section.report(
                keys[1],
                error: "invalid header source, must be only one of "
                    + "'from_context', 'from_attribute', 'value', or 'value_file'",
                help: "keep one of \(keys.joined(separator: ", "))")
        } else if let value {
            source = .value(value)
        } else if let file {
            source = .file(file)
        } else if let metadata {
            source = .metadata(metadata.lowercased())
        }
    }
}

extension ComponentType {
    /// `headers_setter`.
    package static let headersSetter = `extension`(
        "headers_setter", capabilities: [.clientAuthentication], HeadersSetterConfig.self
    ) { HeadersSetter($0, $1) }
}

/// Puts header fields on what exporters send, those of the client among them: `headers_setter`. Any thread.
package final class HeadersSetter: ClientAuthenticator {
    private let headers: [HeadersSetterConfig.Header]
    /// Of those with a file, by its path.
    private let files: [String: WatchedFile]

    package init(_ config: HeadersSetterConfig, _ context: ComponentContext) {
        headers = config.headers
        var files: [String: WatchedFile] = [:]
        for header in config.headers {
            guard case .file(let path) = header.source else { continue }
            files[path] = WatchedFile(
                path, key: "headers::value_file", eventLoop: context.eventLoop, logger: context.logger)
        }
        self.files = files
    }

    package func start() async throws {
        for file in files.values { try await file.start() }
    }

    package func stop(until deadline: NIODeadline) async -> Remainder {
        for file in files.values { file.stop() }
        return Remainder()
    }

    package func edits(for batch: Batch) throws(ClientAuthenticationFault) -> [HeaderEdit] {
        var edits: [HeaderEdit] = []
        for header in headers {
            let value =
                switch header.source {
                case .value(let secret): secret.value
                case .file(let path): files[path]?.text ?? ""
                case .metadata(let key): try Self.value(of: key, in: batch) ?? header.defaultValue
                case .none: ""
                }
            edits.append(HeaderEdit(header.action, header.name, value))
        }
        return edits
    }

    /// What the client sent; nil when it sent none, or when a batch holds the data of clients that sent different ones.
    private static func value(of key: String, in batch: Batch) throws(ClientAuthenticationFault) -> String? {
        let values = batch.slices.first?.payload.metadata?.values(key) ?? []
        guard values.count < 2 else {
            throw ClientAuthenticationFault(
                "\(values.count) source keys found in the context, can't determine which one to use: \(key)")
        }
        let isShared = batch.slices.allSatisfy { ($0.payload.metadata?.values(key) ?? []) == values }
        return isShared ? values.first : nil
    }
}
