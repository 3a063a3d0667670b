internal import OTLP

/// Attributes as they are set, in one piece of memory however many they are: there are some for each pod of the cluster. Immutable;
/// any thread.
struct ClusterAttributes: Sendable {
    /// `KeyValue` fields behind each other; nil for none.
    private let message: OwnedBytes?

    private init(_ message: OwnedBytes?) { self.message = message }

    init(_ texts: [(name: String, value: String)]) {
        var draft = Draft()
        for text in texts { draft.append(text.name, text.value) }
        self = draft.attributes
    }

    /// Those that are being gathered.
    struct Draft {
        private var fields = MessageDraft()

        mutating func append(_ name: String, _ text: String) {
            append(name, Field.AnyValue.string, Array(text.utf8))
        }

        /// A list of one text.
        mutating func append(_ name: String, listOf text: String) {
            var element = MessageDraft()
            var list = MessageDraft()
            element.append(Field.AnyValue.string, Array(text.utf8))
            list.append(Field.List.values, element.bytes)
            append(name, Field.AnyValue.array, list.bytes)
        }

        private mutating func append(_ name: String, _ kind: UInt32, _ content: [UInt8]) {
            var value = MessageDraft()
            value.append(kind, content)
            var attribute = MessageDraft()
            attribute.append(Field.KeyValue.key, Array(name.utf8))
            attribute.append(Field.KeyValue.value, value.bytes)
            fields.append(Field.Resource.attributes, attribute.bytes)
        }

        var attributes: ClusterAttributes {
            ClusterAttributes(fields.bytes.isEmpty ? nil : OwnedBytes(fields.bytes))
        }
    }

    /// Shows each; the bytes are valid for the call.
    func show(_ body: (_ key: WireBytes, _ value: AttributeValue) -> Void) {
        guard let message else { return }
        withExtendedLifetime(message) {
            for attribute in message.bytes.fields {
                var (key, value) = (WireBytes.none, WireBytes.none)
                for part in attribute.bytes.fields {
                    if part.number == Field.KeyValue.key { key = part.bytes } else { value = part.bytes }
                }
                body(key, AttributeValue(value))
            }
        }
    }
}

/// A pod as data are matched with it. Immutable; any thread.
final class PodRecord: Sendable {
    /// A container of the pod.
    struct Container: Sendable {
        let name: String
        /// What does not depend on the instance.
        let attributes: ClusterAttributes
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
    let attributes: ClusterAttributes
    let containers: [Container]
    /// Uids of what owns it.
    let owners: [String]

    init(
        uid: String, namespace: String, node: String, startTime: String, identifiers: [String],
        attributes: ClusterAttributes, containers: [Container], owners: [String]
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
    let attributes: ClusterAttributes
    /// The deployment's, of a ReplicaSet.
    let ownerUID: String?

    init(uid: String, attributes: ClusterAttributes, ownerUID: String? = nil) {
        self.uid = uid
        self.attributes = attributes
        self.ownerUID = ownerUID
    }
}
