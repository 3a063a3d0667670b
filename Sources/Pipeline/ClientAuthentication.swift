package import Configuration

/// An extension that puts credentials or other header fields on what exporters send: `auth::authenticator` names it. Any
/// thread.
package protocol ClientAuthenticator: Component {
    /// What is to be done to the header fields of the request that carries a batch. Does not block.
    /// - Throws: that this batch cannot be sent.
    func edits(for batch: Batch) throws(ClientAuthenticationFault) -> [HeaderEdit]
}

/// Why a batch cannot be sent with an authenticator, as a sentence.
package struct ClientAuthenticationFault: Error, Sendable {
    package let message: String

    package init(_ message: String) { self.message = message }
}

/// One change of a request's header fields.
package struct HeaderEdit: Sendable, Equatable {
    /// What becomes of a field that is there, and of one that is not.
    package enum Action: String, Sendable, CaseIterable {
        /// Sets it when it is not there.
        case insert
        /// Sets it when it is there.
        case update
        /// Sets it.
        case upsert
        /// Removes it.
        case delete
    }

    package let action: Action
    package let name: String
    package let value: String

    package init(_ action: Action, _ name: String, _ value: String = "") {
        self.action = action
        self.name = name
        self.value = value
    }
}

extension Sequence<HeaderEdit> {
    /// Changes fields; names are the same in whatever case.
    package func apply(to fields: inout [(name: String, value: String)]) {
        for edit in self {
            let name = edit.name.lowercased()
            let isThere = fields.contains { $0.name.lowercased() == name }
            switch edit.action {
            case .insert where isThere, .update where !isThere: continue
            case .insert, .update, .upsert, .delete: break
            }
            if isThere { fields.removeAll { $0.name.lowercased() == name } }
            if edit.action != .delete { fields.append((edit.name, edit.value)) }
        }
    }
}

/// `auth` of an exporter.
package struct ClientAuthenticationConfig: Sendable, Equatable {
    /// The extension. Key `authenticator`.
    package let authenticator: ComponentID

    /// Types whose credentials go over TLS only, where the protocol is gRPC.
    package static let secretTypes = ["basicauth", "basic_auth", "bearertokenauth", "bearer_token_auth"]

    /// Reads `auth` of an exporter's section; nil: none.
    package init?(of section: ConfigSection) {
        guard let id = section.authenticator() else { return nil }
        authenticator = id
    }

    /// What the exporter refers to.
    /// - Parameter sections: those that `auth` stands in.
    package func reference(in sections: [String] = []) -> ComponentReference {
        ComponentReference(
            authenticator, .extension(.clientAuthentication), in: sections + ["auth"], key: "authenticator")
    }
}

extension ComponentContext {
    /// The authenticator that `auth` names, which the configuration was checked to have.
    package func authenticator(_ config: ClientAuthenticationConfig?) -> (any ClientAuthenticator)? {
        config.map { config in
            guard let found = self.extension(config.authenticator) as? any ClientAuthenticator else {
                preconditionFailure(
                    "extension \(config.authenticator) was not checked to be an authenticator")
            }
            return found
        }
    }
}
