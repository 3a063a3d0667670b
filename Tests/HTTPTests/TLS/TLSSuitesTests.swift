import Configuration
import NIOSSL
import Testing

@testable import HTTP

/// Without this a key that is stolen later opens what was recorded before.
@Suite struct TLSSuitesTests {
    @Test func allUsualSuitesHaveForwardSecrecy() {
        var tls = TLSConfiguration.makeClientConfiguration()
        TLSConfig().apply(to: &tls)
        let names = tls.cipherSuites.split(separator: ":")
        #expect(
            names.count >= 6 && names.allSatisfy { $0.hasPrefix("ECDHE-") || $0.contains("_ECDHE_") },
            "\(names)")
        // The library's own list has others: what is tested is ours.
        #expect(TLSConfig().cipherSuites.isEmpty)
    }
}
