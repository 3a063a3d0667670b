package import Configuration
internal import Synchronization

/// Clients that were turned away because they did not show who they are. Any thread.
package final class RefusedClients: Sendable {
    /// One of them.
    package struct Client: Sendable, Equatable {
        /// What they came to.
        package let component: String
        package let kind: ComponentKind
        /// Nil when the connection was gone already.
        package let address: String?
        package let reason: String
    }

    private let listener = Mutex<(@Sendable (Client) -> Void)?>(nil)

    package init() {}

    /// Has each of them told to somebody, in place of whom it was told to before.
    /// - Parameter listener: called on event loops: it must be quick and must not block.
    package func tell(_ listener: @escaping @Sendable (Client) -> Void) {
        self.listener.withLock { $0 = listener }
    }

    fileprivate func add(_ client: Client) {
        listener.withLock { $0 }?(client)
    }
}

extension ComponentContext {
    /// What a component calls for each client that it turns away. Any thread.
    package func refusedClients(
        transport: String
    ) -> @Sendable (_ reason: String, _ address: String?) -> Void {
        let counter = registry.counter(
            "sluice_\(kind.rawValue)_refused_clients",
            help: "Connections of clients that did not show a certificate of client_ca_file's authorities.",
            labels: [kind.rawValue: name, "transport": transport])
        let (all, component, kind) = (gateway.refusedClients, name, kind)
        return { reason, address in
            counter.add(1)
            all.add(
                RefusedClients.Client(component: component, kind: kind, address: address, reason: reason))
        }
    }
}
