import Testing

@testable import Configuration

@Suite("Scalars, durations and near misses")
struct ValueTests {
    @Test(
        "a file that the Collector reads has the same types here",
        arguments: [
            ("true", "bool true"), ("False", "bool false"), ("yes", "string yes"), ("on", "string on"),
            ("", "null"), ("~", "null"), ("Null", "null"), ("nil", "string nil"),
            ("0", "int 0"), ("-5", "int -5"), ("+5", "int 5"), ("1_000", "int 1000"), ("0x1F", "int 31"),
            ("0o17", "int 15"), ("017", "int 15"), ("0b101", "int 5"), ("08", "double 8.0"),
            ("9223372036854775807", "int 9223372036854775807"), ("1.5", "double 1.5"), (".5", "double 0.5"),
            ("5.", "double 5.0"), ("1e3", "double 1000.0"), ("1e", "string 1e"), ("-", "string -"),
            ("+", "string +"), (".", "string ."), ("-+5", "string -+5"), ("--5", "string --5"),
            ("0x", "string 0x"), ("_1", "string _1"), ("1_", "string 1_"), ("5s", "string 5s"),
            (".inf", "double inf"), ("-.inf", "double -inf"), ("1.2.3.4", "string 1.2.3.4"),
            ("0.0.0.0:4317", "string 0.0.0.0:4317"), ("2026-11-23", "string 2026-11-23"),
            ("infinity", "string infinity"), ("nan", "string nan"), ("0x1p3", "string 0x1p3"),
        ])
    func typing(text: String, expected: String) {
        let found =
            switch typedScalar(text) {
            case .null: "null"
            case .bool(let value): "bool \(value)"
            case .int(let value): "int \(value)"
            case .double(let value): "double \(value)"
            case .string(let value): "string \(value)"
            case .list, .map: "not a scalar"
            }
        #expect(found == expected)
    }

    @Test(
        "timeouts mean what they mean in the Collector",
        arguments: [
            ("0", 0), ("0s", 0), ("200ms", 200_000_000), ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1h0m0.5s", 3_600_500_000_000), ("-5s", -5_000_000_000), ("+5s", 5_000_000_000),
            ("10us", 10_000),
            ("10\u{b5}s", 10_000), (".5s", 500_000_000), ("1.s", 1_000_000_000), ("7ns", 7),
            ("1.9999999999999999999s", 1_999_999_999), ("2540400h", 9_145_440_000_000_000_000),
        ] as [(String, Int64)])
    func duration(text: String, nanoseconds: Int64) {
        #expect(parseDuration(text) == .nanoseconds(nanoseconds))
    }

    @Test(
        "a timeout that cannot be meant is not guessed",
        arguments: [
            "", "5", "s", ".", ".s", "5 s", "5S", "5x", "1m30", "--5s", "5s ", "1d", "9999999999999999999s",
            "2562048h",
            "1e3s", "5ss", "5mss", "-", "+",
        ])
    func noDuration(text: String) {
        #expect(parseDuration(text) == nil)
    }

    @Test(
        "durations in messages read like those in files",
        arguments: [
            (0, "0s"), (200_000_000, "200ms"), (90_000_000_000, "1m30s"), (5_400_000_000_000, "1h30m"),
            (7, "7ns"),
            (1_500, "1.5us"), (1_500_000_000, "1.5s"), (-5_000_000_000, "-5s"), (60_000_000_000, "1m"),
            (3_600_500_000_000, "1h0.5s"),
        ] as [(Int64, String)])
    func durationText(nanoseconds: Int64, text: String) {
        #expect(Duration.nanoseconds(nanoseconds).text == text)
        #expect(parseDuration(text) == .nanoseconds(nanoseconds))
    }

    @Test(
        "a mistyped word finds the meant one, a strange one finds none",
        arguments: [
            ("send_batch_sise", "send_batch_size"), ("Timeout", "timeout"), ("timout", "timeout"),
            ("send-batch-size", "send_batch_size"), ("tiemout", "timeout"), ("completely", nil), ("x", nil),
            ("", nil),
        ] as [(String, String?)])
    func suggestion(word: String, expected: String?) {
        #expect(nearest(word, in: ["timeout", "send_batch_size", "y", "send_batch_max_size"]) == expected)
    }

    @Test(
        "addresses are read as they are written",
        arguments: [
            ("localhost:4317", "localhost", 4317), ("0.0.0.0:0", "0.0.0.0", 0), ("[::1]:4317", "::1", 4317),
            (":4317", "0.0.0.0", 4317), ("tempo.svc:65535", "tempo.svc", 65535),
        ])
    func endpoint(text: String, host: String, port: Int) throws {
        #expect(try EndpointConfig(text) == EndpointConfig(host: host, port: port))
    }

    @Test(
        "an address with a mistake is not half understood",
        arguments: [
            ("", .noPort), ("localhost", .noPort), ("localhost:", .badPort("")),
            ("localhost:65536", .badPort("65536")),
            ("localhost:http", .badPort("http")), ("::1:4317", .manyColons), ("[::1:4317", .openBracket),
            ("[::1]4317", .badHost("[::1]4317")), ("[::1]", .noPort), ("a b:1", .badHost("a b")),
            ("a/b:1", .badHost("a/b")), ("localhost:-1", .badPort("-1")), ("$HOST:1", .variable("HOST")),
        ] as [(String, EndpointProblem)])
    func badEndpoint(text: String, problem: EndpointProblem) {
        #expect(throws: problem) { try EndpointConfig(text) }
    }

    @Test("ids are read as the Collector reads them")
    func componentIDs() {
        #expect(ComponentID("otlp") == ComponentID(type: "otlp"))
        #expect(ComponentID(" otlp / second ") == ComponentID(type: "otlp", name: "second"))
        #expect(ComponentID("otlp/a/b")?.name == "a/b")
        #expect(ComponentID("otlp/second")?.description == "otlp/second")
        for bad in [
            "", "/", "otlp/", "/x", "1otlp", "ot-lp", "otlp/a b", "_otlp", String(repeating: "a", count: 64),
        ] {
            #expect(ComponentID(bad) == nil, "\(bad)")
        }
    }
}
