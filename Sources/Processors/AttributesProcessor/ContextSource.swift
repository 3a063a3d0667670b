internal import OTLP
internal import Pipeline

/// What `from_context` names.
enum ContextSource: Sendable, Equatable {
    /// All values of a header field, joined by `;`; its name is in lower case.
    case metadata(String)
    /// An attribute of what authenticated the client.
    case authentication(String)
    /// The address of the connection's other end, without the port.
    case clientAddress

    init(_ name: String) {
        if name == "client.address" {
            self = .clientAddress
        } else if name.hasPrefix("auth.") {
            self = .authentication(String(name.dropFirst("auth.".count)))
        } else if name.hasPrefix("metadata.") {
            self = .metadata(name.dropFirst("metadata.".count).lowercased())
        } else {
            self = .metadata(name.lowercased())
        }
    }

    /// The value for a request; nil when the client sent none.
    func value(_ context: EditContext) -> OwnedValue? {
        let text: String
        switch self {
        case .metadata(let name):
            guard let values = context.metadata?.values(name), !values.isEmpty else { return nil }
            text = values.joined(separator: ";")
        case .clientAddress:
            guard let address = context.client?.host else { return nil }
            text = address
        case .authentication: return nil
        }
        let bytes = OwnedBytes(text)
        return withExtendedLifetime(bytes) { OwnedValue(.string(bytes.bytes)) }
    }
}
