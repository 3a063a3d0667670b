package import HTTP
package import NIOCore
package import Pipeline

/// The `zpages` extension: pages for people about what the gateway is made of and what it does, under `/debug/`.
package final class ZPages: Component {
    private let server: AdminServer

    /// Pages that are not served yet.
    ///
    /// - Parameter key: the configuration key of host and port, for the error when they cannot be had.
    package init(_ gateway: GatewayContext, host: String, port: Int, key: String) {
        let startNanoseconds = SystemClock.unixNanoseconds()
        let (overview, registry, traces) = (gateway.overview, gateway.registry, gateway.traceLog)
        let version = gateway.version
        server = AdminServer(
            group: gateway.group, host: host, port: port, key: key,
            routes: [
                "/debug/servicez": { _ in Self.page(ServicePage.html(version, startNanoseconds)) },
                "/debug/pipelinez": { request in
                    let page = PipelinePage(overview, registry.gather())
                    return Self.page(page.html(Query(request.query)))
                },
                "/debug/extensionz": { _ in Self.page(PipelinePage.extensions(overview)) },
                "/debug/featurez": { _ in
                    Self.page(
                        HTML.page("Feature gates", "<p>There are no feature gates in this version.</p>"))
                },
                "/debug/tracez": { request in Self.page(TracePage.html(traces, Query(request.query))) },
            ])
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

    private static func page(_ html: String) -> AdminResponse {
        AdminResponse(contentType: "text/html; charset=utf-8", body: Array(html.utf8))
    }
}

/// Names and values behind the question mark.
struct Query {
    private var values: [String: String] = [:]

    init(_ text: String) {
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            values[Self.decoded(parts[0])] = parts.count == 2 ? Self.decoded(parts[1]) : ""
        }
    }

    subscript(name: String) -> String? { values[name] }

    /// `%41` and `+` as what they stand for.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(0x20)
            case UInt8(ascii: "%"):
                guard let digits = String(rest.prefix(2)), digits.utf8.count == 2,
                    let value = UInt8(digits, radix: 16)
                else {
                    bytes.append(byte)
                    continue
                }
                bytes.append(value)
                rest = rest.dropFirst(2)
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The few pieces of HTML that the pages are made of. Texts are escaped, cells of a table are HTML already.
enum HTML {
    static func page(_ title: String, _ body: String) -> String {
        let links = ["servicez", "pipelinez", "extensionz", "tracez", "featurez"].map {
            "<a href=\"/debug/\($0)\">\($0)</a>"
        }
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>\(text(title))</title>
            <style>body{font-family:sans-serif}table{border-collapse:collapse}td,th{border:1px solid #999;padding:2px 8px;\
            text-align:left;vertical-align:top}</style></head>
            <body><p>\(links.joined(separator: " · "))</p><h1>\(text(title))</h1>
            \(body)
            </body></html>

            """
    }

    static func table(_ head: [String], _ rows: [[String]]) -> String {
        let top = "<tr>" + head.map { "<th>\(text($0))</th>" }.joined() + "</tr>"
        let lines = rows.map { "<tr>" + $0.map { "<td>\($0)</td>" }.joined() + "</tr>" }
        return "<table>\n" + ([top] + lines).joined(separator: "\n") + "\n</table>"
    }

    static func text(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            default: out.append(character)
            }
        }
        return out
    }

    static func link(_ target: String, _ query: [(String, String)], _ label: String) -> String {
        let pairs = query.map { "\($0.0)=\(encoded($0.1))" }.joined(separator: "&amp;")
        return "<a href=\"\(target)?\(pairs)\">\(text(label))</a>"
    }

    /// Everything but letters, digits and what stands in names as `%41`.
    private static func encoded(_ text: String) -> String {
        text.utf8.map { byte -> String in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"),
                UInt8(ascii: "."):
                return String(UnicodeScalar(byte))
            default: return "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }
}
