import Configuration
import RequestServing
import Testing

@testable import JaegerReceiver

@Suite("jaeger: configuration and paths")
struct JaegerConfigTests {
    private func read(_ yaml: String) -> (JaegerConfig, String) {
        let diagnostics = Diagnostics()
        let config = JaegerConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics))
        return (config, diagnostics.hasErrors ? diagnostics.render() : "")
    }

    /// Otherwise clients would not find the ports that Jaeger has had for years.
    @Test("only what is written is served, on Jaeger's ports")
    func ports() {
        let (all, problems) = read(
            "protocols:\n  grpc:\n  thrift_http:\n  thrift_compact: {max_packet_size: 100, socket_buffer_size: 5}\n  thrift_binary:\n"
        )
        #expect(problems == "")
        #expect(all.grpc?.endpoint.port == 14250 && all.http?.endpoint.port == 14268)
        #expect(all.compact?.endpoint.port == 6831 && all.binary?.endpoint.port == 6832)
        #expect(all.compact?.packetBytesMax == 100 && all.compact?.socketBufferBytes == 5)
        #expect(all.binary?.packetBytesMax == 65_000)
        // Configurations have more than a packet can have.
        let (large, _) = read("protocols: {thrift_compact: {max_packet_size: 131072}}")
        #expect(large.compact?.packetBytesMax == 65_535)
        let (one, _) = read("protocols: {thrift_http: {endpoint: '0.0.0.0:1'}, grpc: {enabled: false}}")
        #expect(one.http?.endpoint.port == 1 && one.grpc == nil && one.compact == nil && one.binary == nil)
    }

    /// Otherwise a receiver that serves nothing would look like one that does.
    @Test(
        "what means nothing is refused",
        arguments: [
            ("", "must specify at least one protocol when using the Jaeger receiver"),
            ("protocols: {}", "must specify at least one protocol when using the Jaeger receiver"),
            ("grpc: {endpoint: 'a:1'}", "protocols"),
            ("protocols: {thrift_compact: {max_packet_size: 0}}", "must be between 1 and 2147483647"),
            (
                "{protocols: {grpc: }, remote_sampling: {strategy_file: a}}",
                "remote_sampling: is not supported yet"
            ),
            ("protocols: {thrift_compact: {max_packets: 1}}", "unknown key \"max_packets\""),
        ])
    func refused(yaml: String, message: String) {
        #expect(read(yaml).1.contains(message), "\(read(yaml).1)")
    }

    /// Otherwise batches would be lost for the name of their type, or anything would be taken for one.
    @Test(
        "where batches are posted",
        arguments: [
            ("/api/traces", "application/x-thrift", 0),
            ("/api/traces", "application/vnd.apache.thrift.binary", 0), ("/api/traces", "", 400),
            ("/api/traces", "application/json", 400), ("/api/v2/spans", "application/x-thrift", 404),
            ("/", "application/x-thrift", 404),
        ])
    func routes(path: String, type: String, outcome: Int) {
        switch JaegerReceiver.choose(Substring(path), type) {
        case .success(let index): #expect(index == outcome)
        case .failure(let refusal): #expect(refusal.status == outcome)
        }
    }
}
