internal import RegularExpression

/// `UserAgent`: name and version of browsers, libraries and robots, and of their system. The first rule that fits decides, as
/// in the uap-core list, of which these are the families that telemetry of servers has.
enum UserAgentConverter {
    static var function: Function {
        Function("UserAgent", [.required("user_agent", .string)]) { arguments in
            let target = arguments.expression(0)
            let (agents, systems) = (Self.agents.map(Rule.init), Self.systems.map(Rule.init))
            return { frame throws(EvaluationError) in
                let text = try target.evaluate(frame).asString()
                var entries: [MapEntry] = []
                let agent = find(agents, text)
                entries.put("user_agent.name", .text(agent?.name ?? "Other"))
                entries.put("user_agent.version", .text(agent?.version ?? ""))
                entries.put("user_agent.original", .string(text))
                let system = find(systems, text)
                entries.put("os.name", .text(system?.name ?? "Other"))
                if let version = system?.version, !version.isEmpty {
                    entries.put("os.version", .text(version))
                }
                return .map(.entries(entries))
            }
        }
    }

    private struct Rule {
        let expression: RegularExpression
        /// Nil: the first group.
        let name: String?

        init(_ rule: (pattern: String, name: String?)) {
            do throws(RegularExpressionError) {
                expression = try RegularExpression(rule.pattern)
            } catch {
                preconditionFailure("a built-in pattern is none: \(rule.pattern): \(error)")
            }
            name = rule.name
        }
    }

    private static func find(_ rules: [Rule], _ text: Bytes) -> (name: String, version: String)? {
        for rule in rules where text.occurs(rule.expression) {
            let bytes = text.array
            var groups = rule.expression.firstMatch(in: bytes).dropFirst().map { range in
                range.map { String(decoding: bytes[$0], as: UTF8.self) }
            }
            var name = rule.name
            if name == nil, !groups.isEmpty { name = groups.removeFirst() }
            let version = groups.prefix { $0 != nil }.compactMap { $0 }.filter { !$0.isEmpty }
            return (name ?? "Other", version.joined(separator: "."))
        }
        return nil
    }

    private static let version = #"/(\d+)(?:\.(\d+)(?:\.(\d+)|)|)"#

    private static let agents: [(pattern: String, name: String?)] = [
        (
            #"(Googlebot(?:-Mobile|-Image|-Video|-News|)|bingbot|YandexBot|DuckDuckBot|Baiduspider|AhrefsBot|SemrushBot|facebookexternalhit|Twitterbot|Slackbot|LinkedInBot|Applebot|PetalBot|UptimeRobot)(?:[/-](\d+)(?:\.(\d+)|)|)"#,
            nil
        ),
        (
            #"(kube-probe|GoogleHC|ELB-HealthChecker|Prometheus|Grafana|Blackbox Exporter|Consul Health Check)(?:/v?(\d+)(?:\.(\d+)(?:\.(\d+)|)|)|)"#,
            nil
        ),
        (#"(curl|Wget|HTTPie|PostmanRuntime|insomnia|k6|ApacheBench|hey)"# + version, nil),
        (#"(Go-http-client|grpc-go|grpc-java-netty|grpc-python|grpc-node|grpc-c\+\+)"# + version, nil),
        (
            #"(python-requests|Python-urllib|aiohttp|python-httpx|axios|node-fetch|okhttp|Apache-HttpClient|Java|Jersey|libwww-perl|Ruby|Faraday|Guzzle|reqwest|got|undici)"#
                + version, nil
        ),
        (#"(?:Edge|EdgA|EdgiOS|Edg)"# + version, "Edge"),
        (#"(?:OPR|Opera)"# + version, "Opera"),
        (#"SamsungBrowser"# + version, "Samsung Internet"),
        (#"(?:YaBrowser)"# + version, "Yandex Browser"),
        (#"(?:Vivaldi)"# + version, "Vivaldi"),
        (#"CriOS"# + version, "Chrome Mobile iOS"),
        (#"FxiOS"# + version, "Firefox iOS"),
        (#"HeadlessChrome"# + version, "HeadlessChrome"),
        (#"(?:Mobile|Tablet);.*(?:Firefox)"# + version, "Firefox Mobile"),
        (#"Firefox"# + version, "Firefox"),
        (#"Android.*; wv\).*Chrome"# + version, "Chrome Mobile WebView"),
        (#"Chrome"# + version + #"[\d.]* Mobile"#, "Chrome Mobile"),
        (#"Chromium"# + version, "Chromium"),
        (#"Chrome"# + version, "Chrome"),
        (#"(?:iPhone|iPad|iPod).*Version"# + version + #".*Safari"#, "Mobile Safari"),
        (#"Version"# + version + #".*Safari/"#, "Safari"),
        (#"MSIE (\d+)\.(\d+)"#, "IE"),
        (#"Trident/.*rv:(\d+)\.(\d+)"#, "IE"),
    ]

    private static let systems: [(pattern: String, name: String?)] = [
        (#"Windows Phone (?:OS )?(\d+)\.(\d+)"#, "Windows Phone"),
        (#"Windows NT (10)\.0"#, "Windows"),
        (#"Windows NT"#, "Windows"),
        (#"Windows"#, "Windows"),
        (#"Android (\d+)(?:\.(\d+)(?:\.(\d+)|)|)"#, "Android"),
        (#"Android"#, "Android"),
        (#"(?:iPhone|iPad|iPod).*OS (\d+)_(\d+)(?:_(\d+)|)"#, "iOS"),
        (#"Mac OS X (\d+)[_.](\d+)(?:[_.](\d+)|)"#, "Mac OS X"),
        (#"CrOS [a-z0-9_]+ (\d+)\.(\d+)(?:\.(\d+)|)"#, "Chrome OS"),
        (#"Ubuntu"#, "Ubuntu"),
        (#"Linux"#, "Linux"),
    ]
}
