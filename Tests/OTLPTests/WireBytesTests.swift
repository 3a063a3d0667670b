import OTLP
import TestSupport
import Testing

@Suite struct WireBytesTests {
    /// Scenario: an exporter reads a request. Guarantees: resources, scopes, items and attributes are found
    /// by walking.
    @Test func walksToAttributes() {
        let request = RequestBuilder.makeTraces(spans: 3)
        var keys: [String] = []
        var ports: [Int64] = []
        var names: [String] = []
        request.withUnsafeBytes { bytes in
            for entry in WireBytes(bytes).fields where entry.number == Field.Request.resources {
                for scope in entry.bytes.fields where scope.number == Field.ResourceEntry.scopes {
                    for span in scope.bytes.fields where span.number == Field.ScopeEntry.entries {
                        for field in span.bytes.fields {
                            if field.number == Field.Span.name { names.append(field.bytes.text) }
                            guard field.number == Field.Span.attributes else { continue }
                            let attribute = Attribute(field.bytes)
                            keys.append(attribute.key.text)
                            if attribute.key == "server.port", case .int(let port) = attribute.value {
                                ports.append(port)
                            }
                        }
                    }
                }
            }
        }
        #expect(names == Array(repeating: "GET /api/v1/products/{id}", count: 3))
        #expect(keys.count == 30 && keys.first == "http.request.method")
        #expect(ports == [8080, 8080, 8080])
    }

    /// Scenario: each kind of value. Guarantees: each is read as what it is; of several the last counts.
    @Test func readsValues() {
        func value(_ build: (inout ProtoWriter) -> Void) -> String {
            message(build).withUnsafeBytes { bytes in
                switch AttributeValue(WireBytes(bytes)) {
                case .empty: "empty"
                case .string(let text): "string \(text.text)"
                case .bool(let flag): "bool \(flag)"
                case .int(let number): "int \(number)"
                case .double(let number): "double \(number)"
                case .array(let list): "array \(list.fields.map { $0.bytes.count })"
                case .keyValueList(let list): "list \(list.fields.map { Attribute($0.bytes).key.text })"
                case .bytes(let bytes): "bytes \(bytes.array)"
                }
            }
        }
        #expect(value { _ in } == "empty")
        #expect(value { $0.text(1, "ü") } == "string ü")
        #expect(value { $0.integer(2, 1) } == "bool true")
        #expect(value { $0.integer(3, UInt64(bitPattern: -5)) } == "int -5")
        #expect(value { $0.double(4, 0.5) } == "double 0.5")
        #expect(value { $0.message(5) { $0.message(1) { $0.text(1, "a") } } } == "array [3]")
        #expect(value { $0.message(6) { $0.attribute(1, "k", 1) } } == "list [\"k\"]")
        #expect(value { $0.field(7, [1, 255]) } == "bytes [1, 255]")
        #expect(
            value {
                $0.text(1, "first")
                $0.integer(3, 2)
            } == "int 2")
    }

    /// Scenario: numbers of every encoding. Guarantees: signs and widths are right.
    @Test func readsNumbers() {
        let bytes = message {
            $0.integer(1, 3)
            $0.fixed32(2, .max)
            $0.fixed64(3, UInt64(bitPattern: -2))
        }
        bytes.withUnsafeBytes { bytes in
            let fields = Array(WireBytes(bytes).fields)
            #expect(fields.map(\.zigzag).first == -2)
            #expect(fields.map(\.bits) == [3, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFE])
            #expect(fields.map(\.int64).last == -2)
        }
    }

    /// Scenario: bytes that nobody checked. Guarantees: the walk ends early and says so; it never reads
    /// outside.
    @Test func endsAtMalformedBytes() {
        let request = RequestBuilder.makeTraces(spans: 1)
        for count in 1..<request.count {
            request[..<count].withUnsafeBytes { bytes in
                var fields = WireBytes(bytes).fields
                #expect(fields.next() == nil)
                #expect(fields.isMalformed)
            }
        }
    }
}
