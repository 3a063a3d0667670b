internal import OTLP

/// An attribute as it is set.
struct ClusterAttribute: Sendable {
    let key: OwnedBytes
    let value: OwnedValue

    init(_ name: String, _ text: String) {
        key = OwnedBytes(name)
        let bytes = OwnedBytes(text)
        value = withExtendedLifetime(bytes) { OwnedValue(.string(bytes.bytes)) }
    }

    /// A list of one text.
    init(_ name: String, listOf text: String) {
        key = OwnedBytes(name)
        var element = MessageDraft()
        var list = MessageDraft()
        element.append(Field.AnyValue.string, Array(text.utf8))
        list.append(Field.List.values, element.bytes)
        var message = MessageDraft()
        message.append(Field.AnyValue.array, list.bytes)
        value = OwnedValue(message: message.bytes)
    }
}

/// A pod as data are matched with it. Immutable; any thread.
final class PodRecord: Sendable {
    /// A container of the pod.
    struct Container: Sendable {
        let name: String
        /// What does not depend on the instance.
        let attributes: [ClusterAttribute]
        let instances: [Instance]

        struct Instance: Sendable {
            let restarts: Int
            let id: String
        }
    }

    let uid: String
    let namespace: String
    let node: String
    /// RFC 3339, which sorts as text.
    let startTime: String
    /// Under which it is found.
    let identifiers: [String]
    let attributes: [ClusterAttribute]
    let containers: [Container]
    /// Uids of what owns it.
    let owners: [String]

    init(
        uid: String, namespace: String, node: String, startTime: String, identifiers: [String],
        attributes: [ClusterAttribute], containers: [Container], owners: [String]
    ) {
        self.uid = uid
        self.namespace = namespace
        self.node = node
        self.startTime = startTime
        self.identifiers = identifiers
        self.attributes = attributes
        self.containers = containers
        self.owners = owners
    }
}

/// A namespace, a node or an owner as data are matched with it.
final class ObjectRecord: Sendable {
    let uid: String
    let attributes: [ClusterAttribute]
    /// The deployment's, of a ReplicaSet.
    let ownerUID: String?

    init(uid: String, attributes: [ClusterAttribute], ownerUID: String? = nil) {
        self.uid = uid
        self.attributes = attributes
        self.ownerUID = ownerUID
    }
}
