import Configuration
import HeadersSetter
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

/// A fault here stores the data of one tenant as another's.
@Suite("headers_setter")
struct HeadersSetterTests {
    private func read(_ yaml: String) -> (HeadersSetterConfig, [String]) {
        let diagnostics = Diagnostics()
        let config = HeadersSetterConfig(ConfigSection(yaml: yaml, path: "x", diagnostics: diagnostics))
        return (config, diagnostics.items.map { "\($0.path): \($0.message)" })
    }

    private func edits(_ yaml: String, for batch: Batch) throws -> [HeaderEdit] {
        let (config, problems) = read(yaml)
        #expect(problems.isEmpty, "\(problems)")
        let setter = HeadersSetter(
            config,
            .alone(
                .extension, "headers_setter", signal: nil, on: MultiThreadedEventLoopGroup.singleton.next()))
        return try setter.edits(for: batch)
    }

    /// A batch of requests whose clients sent these tenants.
    private func batch(_ tenants: [String]...) -> Batch {
        let batch = Batch(.traces)
        for tenant in tenants {
            let payload = Payload(ByteBuffer(bytes: [0]), ledger: MemoryLedger())
            payload.metadata = ClientMetadata(tenant.map { ClientMetadata.Field("x-tenant", $0) })
            batch.append(Slice(payload, offset: 0, count: 1, items: 1))
        }
        return batch
    }

    private static let fromClient =
        "headers: [{action: upsert, key: X-Scope-OrgID, from_context: X-Tenant, default_value: nobody}]"

    @Test("the client's own field, or the default when there is none, or not one for all")
    func fromClient() throws {
        func value(_ batch: Batch) throws -> String? { try edits(Self.fromClient, for: batch).first?.value }
        #expect(try value(batch(["acme"])) == "acme")
        #expect(try value(batch([])) == "nobody")
        #expect(try value(Batch(.traces)) == "nobody")
        #expect(try value(batch(["acme"], ["acme"])) == "acme")
        #expect(try value(batch(["acme"], ["other"])) == "nobody")
    }

    @Test("a field that a client sent twice is not guessed at")
    func twice() {
        #expect(throws: ClientAuthenticationFault.self) {
            try edits(Self.fromClient, for: batch(["a", "b"]))
        }
    }

    @Test("the four actions")
    func actions() throws {
        let edits = try edits(
            """
            headers:
              - {action: insert, key: There, value: new}
              - {action: insert, key: Absent, value: new}
              - {action: update, key: there2, value: new}
              - {action: update, key: Absent2, value: new}
              - {action: upsert, key: There3, value: new}
              - {action: delete, key: There4}
            """, for: Batch(.logs))
        var fields = ["there", "There2", "There3", "there4"].map { (name: $0, value: "old") }
        edits.apply(to: &fields)
        #expect(
            fields.map { "\($0.name)=\($0.value)" } == [
                "there=old", "Absent=new", "there2=new", "There3=new",
            ])
    }

    @Test(
        "mistakes are named as the Collector names them",
        arguments: [
            ("", "x: missing headers configuration"),
            ("headers: [{action: upsert, value: a}]", "x::headers::0: missing header name"),
            (
                "headers: [{action: upsert, key: a}]",
                "x::headers::0: missing header source, must be 'from_context', 'from_attribute', 'value', or"
                    + " 'value_file'"
            ),
            (
                "headers: [{action: upsert, key: a, value: b, from_context: c}]",
                "x::headers::0::from_context: invalid header source, must be only one of 'from_context',"
                    + " 'from_attribute', 'value', or 'value_file'"
            ),
            ("headers: [{key: a, value: b}]", "x::headers::0: has no action; upsert is used"),
        ])
    func mistakes(yaml: String, message: String) {
        #expect(read(yaml).1 == [message])
    }
}
