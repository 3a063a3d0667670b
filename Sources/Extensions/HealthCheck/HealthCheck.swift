package import HTTP
package import NIOCore
package import Pipeline

// Two kinds of health pages. `health_check` says what the Collector's says: started and not stopping. It stays
// available while memory is short, because it is used as a liveness probe too, and a restart would lose what is
// held. `/health/ready` also turns new data away while memory is short; `/health/live` never fails.

/// The `health_check` extension: a page that tells load balancers whether the gateway runs.
///
/// 200 with `{"status":"Server available","upSince":"…","uptime":"…"}` once every receiver listens and until the
/// gateway shuts down, else 503 with `Server not available`.
package final class HealthCheck: Component {
    private let server: AdminServer

    /// A page that is not served yet.
    ///
    /// - Parameters:
    ///   - path: as in the Collector, one that ends with a slash answers for everything below it.
    ///   - healthyBody: the user's own answer in place of the JSON; empty means the JSON. `unhealthyBody` likewise.
    ///   - key: the configuration key of host and port, for the error when they cannot be had.
    package init(
        group: any EventLoopGroup, host: String, port: Int, path: String = "/",
        healthyBody: String = "", unhealthyBody: String = "", key: String, state: HealthState
    ) {
        server = AdminServer(
            group: group, host: host, port: port, key: key,
            routes: [path: { _ in Self.page(state, healthyBody: healthyBody, unhealthyBody: unhealthyBody) }])
    }

    /// Starts to listen.
    package func start() async throws {
        _ = try await listen()
    }

    /// Starts to listen; returns the address.
    package func listen() async throws(AdminServerError) -> SocketAddress {
        try await server.start()
    }

    /// Stops listening and closes every connection.
    package func stop(until deadline: NIODeadline) async -> Remainder {
        await server.stop()
        return Remainder()
    }

    /// The routes `/health/live` and `/health/ready` for Kubernetes' probes.
    ///
    /// Live: 200 as long as the process answers. Ready: 200 when new data should come here, else 503 and a
    /// sentence why not.
    package static func kubernetesRoutes(_ state: HealthState) -> [String: AdminHandler] {
        [
            "/health/live": { _ in
                state.isLive ? AdminResponse(text: "live\n") : AdminResponse(status: 503, text: "not live\n")
            },
            "/health/ready": { _ in
                guard let reason = state.notReadyReason else { return AdminResponse(text: "ready\n") }
                return AdminResponse(status: 503, text: reason + "\n")
            },
        ]
    }

    private static func page(
        _ state: HealthState, healthyBody: String, unhealthyBody: String
    ) -> AdminResponse {
        let up = state.isDraining ? nil : state.upSince
        let status = up == nil ? 503 : 200
        let ownBody = up == nil ? unhealthyBody : healthyBody
        guard ownBody.isEmpty else { return AdminResponse(status: status, text: ownBody) }
        let json =
            if let up {
                """
                {"status":"Server available",\
                "upSince":"\(UTCTime(unixNanoseconds: up.unixNanoseconds).rfc3339)",\
                "uptime":"\(durationText(nanoseconds: up.agoNanoseconds))"}
                """
            } else {
                #"{"status":"Server not available","upSince":"0001-01-01T00:00:00Z","uptime":""}"#
            }
        return AdminResponse(status: status, contentType: "application/json", body: Array(json.utf8))
    }
}

/// A duration as the Collector prints one: `1h2m3.5s`, `2m0s`, `3.000000001s`, `1.5ms`, `20\u{b5}s`, `7ns`, `0s`.
func durationText(nanoseconds: Int64) -> String {
    precondition(nanoseconds >= 0, "Uptime is not negative: \(nanoseconds)")
    switch nanoseconds {
    case 0: return "0s"
    case ..<1000: return "\(nanoseconds)ns"
    case ..<1_000_000: return decimal(nanoseconds, unit: 1000, digits: 3) + "\u{b5}s"
    case ..<1_000_000_000: return decimal(nanoseconds, unit: 1_000_000, digits: 6) + "ms"
    default: break
    }
    let minutes = nanoseconds / 60_000_000_000
    let seconds = decimal(nanoseconds % 60_000_000_000, unit: 1_000_000_000, digits: 9) + "s"
    if minutes == 0 { return seconds }
    return minutes < 60 ? "\(minutes)m\(seconds)" : "\(minutes / 60)h\(minutes % 60)m\(seconds)"
}

/// `value / unit` with as many digits after the point as there are, at most `digits`.
private func decimal(_ value: Int64, unit: Int64, digits: Int) -> String {
    guard value % unit != 0 else { return String(value / unit) }
    let text = String(value % unit)
    var fraction = String(repeating: "0", count: digits - text.utf8.count) + text
    while fraction.hasSuffix("0") { fraction.removeLast() }
    return "\(value / unit).\(fraction)"
}
