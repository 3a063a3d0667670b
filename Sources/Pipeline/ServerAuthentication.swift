package import Configuration

/// An extension that says which requests a receiver lets in: `auth::authenticator` of a server names it. Any thread.
package protocol ServerAuthenticator: Component {
    /// What those that are turned away are told to show: `WWW-Authenticate` (RFC 9110 §11.6.1).
    var challenge: String { get }

    /// Judges a request by its header fields, before its body is read. Called on event loops: it takes microseconds.
    /// - Parameter field: the first value of the field with a name, which is in small letters; nil: it is not there.
    /// - Returns: what takes longer, and is to be done elsewhere; nil: the request comes in.
    /// - Throws: why the request does not come in.
    func admit(_ field: (_ name: String) -> String?) throws(AuthenticationRefusal) -> LongCheck?
}

/// A look at credentials that may block its thread for a second: throws why the request does not come in. One at a time, in
/// the order they were asked for; any thread but an event loop's. Let go of undone when nobody waits for it any more.
package typealias LongCheck = @Sendable () throws(AuthenticationRefusal) -> Void

/// Why a request does not come in.
package struct AuthenticationRefusal: Error, Sendable, Equatable {
    /// In the Collector's words where it has some.
    package let message: String
    /// When the client may come again with the same credentials; nil: they are wrong.
    package let retryAfterSeconds: Int?

    package init(_ message: String, retryAfterSeconds: Int? = nil) {
        self.message = message
        self.retryAfterSeconds = retryAfterSeconds
    }
}

extension ComponentID {
    /// What a server refers to whose `auth::authenticator` is this.
    /// - Parameter sections: those that `auth` stands in, below the component's.
    package func asServerAuthenticator(in sections: [String] = []) -> ComponentReference {
        ComponentReference(
            self, .extension(.serverAuthentication), in: sections + ["auth"], key: "authenticator")
    }
}

extension ComponentContext {
    /// The authenticator that a server names, which the configuration was checked to have.
    package func serverAuthenticator(_ id: ComponentID?) -> (any ServerAuthenticator)? {
        id.map { id in
            guard let found = self.extension(id) as? any ServerAuthenticator else {
                preconditionFailure("extension \(id) was not checked to be an authenticator of servers")
            }
            return found
        }
    }
}
