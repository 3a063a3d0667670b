internal import Configuration
internal import HTTP
internal import Pipeline

/// What every request to Loki has in common.
struct PushRequest: Sendable {
    let url: HTTPURL
    private let headers: [(name: String, value: String)]

    static let tenantHeader = "X-Scope-OrgID"

    init(_ config: LokiConfig, version: String) {
        url = config.url
        var headers = [(name: "Content-Type", value: "application/x-protobuf")]
        var names: Set<String> = []
        for header in config.headers {
            names.insert(header.name.lowercased())
            headers.append((header.name, header.value.value))
        }
        if !names.contains("user-agent") { headers.append(("User-Agent", "sluice/\(version)")) }
        if let basic = config.url.basicAuthorization, !names.contains("authorization") {
            headers.append(("Authorization", basic))
        }
        self.headers = headers
    }

    /// The request of a push.
    /// - Parameter edits: what an authenticator changes.
    func make(_ push: Push, _ edits: [HeaderEdit] = []) -> HTTPClientRequest {
        var fields = headers
        if let tenant = push.tenant {
            fields.removeAll { $0.name.lowercased() == Self.tenantHeader.lowercased() }
            fields.append((Self.tenantHeader, tenant))
        }
        edits.apply(to: &fields)
        return HTTPClientRequest(method: "POST", target: url.target, headers: fields, body: [push.body])
    }
}
