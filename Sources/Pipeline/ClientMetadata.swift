/// What a client sent beside its data: header fields, kept when a receiver has `include_metadata: true`.
///
/// Shared by everything that comes of the request. Immutable; any thread.
package final class ClientMetadata: Sendable, Equatable {
    /// One field; names are lower case and may repeat.
    package struct Field: Sendable, Hashable {
        package let name: String
        package let value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// What the fields take in memory, roughly: two texts each and their places.
    package let byteCount: Int
    /// All fields in the order they came.
    package let fields: [Field]

    /// - Parameter fields: with names in lower case.
    package init(_ fields: [Field]) {
        byteCount = fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 96 }
        self.fields = fields
    }

    /// Keeps the header fields of a request: those of HTTP/2 itself are left out, `:authority` is `host`.
    package convenience init(header: [(name: String, value: String)]) {
        self.init(
            header.compactMap { name, value in
                if name == ":authority" { return Field("host", value) }
                return name.utf8.first == UInt8(ascii: ":") ? nil : Field(name, value)
            })
    }

    /// The first value of a field.
    /// - Parameter name: in lower case.
    package subscript(_ name: String) -> String? {
        fields.first { $0.name == name }?.value
    }

    /// All values of a field, in order.
    /// - Parameter name: in lower case.
    package func values(_ name: String) -> [String] {
        fields.compactMap { $0.name == name ? $0.value : nil }
    }

    package static func == (a: ClientMetadata, b: ClientMetadata) -> Bool {
        a === b || a.fields == b.fields
    }
}
