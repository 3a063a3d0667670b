import OTLP
import TestSupport
import Testing

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The request that a text means.
func requestFromJSON(
    _ text: [UInt8], _ signal: Signal, capacity: Int? = nil
) throws(OTLPJSONError) -> [UInt8] {
    var output = [UInt8](repeating: 0xEE, count: capacity ?? 4 * text.count + 64)
    let result: Result<Int, OTLPJSONError> = text.withUnsafeBytes { text in
        output.withUnsafeMutableBytes { output in
            do throws(OTLPJSONError) {
                return .success(try readOTLPJSON(text, as: signal, into: output))
            } catch {
                return .failure(error)
            }
        }
    }
    return Array(output.prefix(try result.get()))
}

private func requestFromJSON(_ text: String, _ signal: Signal) throws(OTLPJSONError) -> [UInt8] {
    try requestFromJSON(Array(text.utf8), signal)
}

/// The fault in a text; nil when there is none.
private func jsonFault(_ text: String, _ signal: Signal) -> String? {
    do throws(OTLPJSONError) {
        _ = try requestFromJSON(text, signal)
        return nil
    } catch {
        guard case .invalid(let fault) = error else { return "\(error)" }
        return fault.description
    }
}

/// A text around the fields of one span.
private func span(_ fields: String) -> String {
    #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"# + fields + "}]}]}]}"
}

/// If one failed, clients that export OTLP in JSON would be refused, or their data be altered.
struct OTLPJSONReaderTests {
    @Test(arguments: Signal.allCases)
    func emptyRequests(signal: Signal) throws {
        for text in [
            "{}", " { } ", #"{"resourceSpans":[],"resourceMetrics":[],"resourceLogs":[]}"#, #"{"x":1}"#,
        ] {
            #expect(try requestFromJSON(text, signal) == [])
        }
    }

    @Test func aSpanInEveryNotation() throws {
        let expected = traceRequest {
            $0.field(1, Array(0xA0...0xAF))
            $0.text(5, "GET")
            $0.integer(6, 2)
            $0.fixed64(7, 1_700_000_000_000_000_001)
            $0.attribute(9, "n", 5)
            $0.integer(10, 3)
            $0.message(15) { $0.integer(3, 2) }
            $0.fixed32(16, 257)
        }
        let strict = #"""
            "traceId":"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf","name":"GET","kind":2,
            "startTimeUnixNano":"1700000000000000001","attributes":[{"key":"n","value":{"intValue":"5"}}],
            "droppedAttributesCount":3,"status":{"code":2},"flags":257
            """#
        let lenient = #"""
            "trace_id":"A0A1a2a3a4a5a6a7a8a9AAabacadaeaf","spanId":"","name":"\u0047ET","kind":"SPAN_KIND_SERVER",
            "start_time_unix_nano":1700000000000000001,"endTimeUnixNano":null,"unknown":{"a":[1,{}]},
            "attributes":[{"key":"n","value":{"int_value":5.0}}],"links":null,"events":[],
            "droppedAttributesCount":"3","status":{"code":"STATUS_CODE_ERROR","message":""},"flags":2.57e2
            """#
        #expect(try requestFromJSON(span(strict), .traces) == expected)
        #expect(try requestFromJSON(span(lenient), .traces) == expected)
    }

    @Test func everyKindOfNumber() throws {
        let text = #"""
            {"resource_metrics":[{"scope_metrics":[{"metrics":[
              {"histogram":{"data_points":[{"count":"3","sum":"Infinity","bucketCounts":[1,"2"],"min":0,
                "explicitBounds":["0.5",1e3,"NaN","-Infinity"]}],"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA"}},
              {"exponentialHistogram":{"dataPoints":[{"scale":-2,"positive":{"offset":"-3","bucketCounts":["1",300]}}]}},
              {"sum":{"dataPoints":[{"asInt":"-7"},{"asDouble":-0.25}],"isMonotonic":"true"}}
            ]}]}]}
            """#
        let expected = message {
            $0.message(1) {
                $0.message(2) {
                    $0.message(2) {
                        $0.message(9) {
                            $0.message(1) {
                                $0.fixed64(4, 3)
                                $0.double(5, .infinity)
                                $0.packedFixed64(6, [1, 2])
                                $0.double(11, 0)
                                $0.packedFixed64(7, [0.5, 1000, .nan, -.infinity].map(\.bitPattern))
                            }
                            $0.integer(2, 1)
                        }
                    }
                    $0.message(2) {
                        $0.message(10) {
                            $0.message(1) {
                                $0.integer(6, 3)
                                $0.message(8) {
                                    $0.integer(1, 5)
                                    $0.packedVarint(2, [1, 300])
                                }
                            }
                        }
                    }
                    $0.message(2) {
                        $0.message(7) {
                            $0.message(1) { $0.fixed64(6, UInt64(bitPattern: -7)) }
                            $0.message(1) { $0.double(4, -0.25) }
                            $0.integer(3, 1)
                        }
                    }
                }
            }
        }
        #expect(try requestFromJSON(text, .metrics) == expected)
    }

    @Test func everyKindOfValue() throws {
        let values: [(String, (inout ProtoWriter) -> Void)] = [
            ("{}", { _ in }), ("null", { _ in }), (#"{"stringValue":""}"#, { $0.text(1, "") }),
            (#"{"boolValue":false}"#, { $0.integer(2, 0) }), (#"{"intValue":"0"}"#, { $0.integer(3, 0) }),
            (#"{"doubleValue":0}"#, { $0.double(4, 0) }), (#"{"arrayValue":{}}"#, { $0.field(5, []) }),
            (
                #"{"kvlistValue":{"values":[{"key":"k"}]}}"#,
                { $0.message(6) { $0.message(1) { $0.text(1, "k") } } }
            ),
            (#"{"bytesValue":"//4="}"#, { $0.field(7, [0xFF, 0xFE]) }),
            (#"{"bytesValue":"__4"}"#, { $0.field(7, [0xFF, 0xFE]) }),
            (#"{"bytesValue":"\/\/4="}"#, { $0.field(7, [0xFF, 0xFE]) }),
            (#"{"bytesValue":""}"#, { $0.field(7, []) }),
        ]
        let list = values.map(\.0).joined(separator: ",")
        let text =
            #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"arrayValue":{"values":["#
            + list + "]}}}]}]}]}"
        let expected = message {
            $0.message(1) {
                $0.message(2) {
                    $0.message(2) {
                        $0.message(5) { $0.message(5) { for value in values { $0.message(1, value.1) } } }
                    }
                }
            }
        }
        #expect(try requestFromJSON(text, .logs) == expected)
    }

    @Test(arguments: [
        (
            span(#""kind":"SERVER""#),
            "unknown enum name at byte 51, in resourceSpans[0].scopeSpans[0].spans[0].kind"
        ),
        (
            span(#""kind":{}"#),
            "expected a number at byte 51, in resourceSpans[0].scopeSpans[0].spans[0].kind"
        ),
        (
            span(#""kind":2147483648"#),
            "number out of range at byte 51, in resourceSpans[0].scopeSpans[0].spans[0].kind"
        ),
        (
            span(#""flags":-1"#),
            "number out of range at byte 52, in resourceSpans[0].scopeSpans[0].spans[0].flags"
        ),
        (
            span(#""endTimeUnixNano":"12x""#),
            "expected a number at byte 62, in resourceSpans[0].scopeSpans[0].spans[0].endTimeUnixNano"
        ),
        (
            span(#""traceId":"abc""#),
            "not an even number of hexadecimal digits at byte 54, in resourceSpans[0].scopeSpans[0].spans[0].traceId"
        ),
        (
            span(#""traceId":"q80=""#),
            "not an even number of hexadecimal digits at byte 54, in resourceSpans[0].scopeSpans[0].spans[0].traceId"
        ),
        (
            span(#""traceId":"abcd""#),
            "an id of 2 bytes, which must have 16 or none (32 digits), at byte 54,"
                + " in resourceSpans[0].scopeSpans[0].spans[0].traceId"
        ),
        (
            span(#""links":[{"spanId":"a0a1a2a3a4a5a6a7a8"}]"#),
            "an id of 9 bytes, which must have 8 or none (16 digits), at byte 63,"
                + " in resourceSpans[0].scopeSpans[0].spans[0].links[0].spanId"
        ),
        (
            span(#""parent_span_id":"00""#),
            "an id of 1 bytes, which must have 8 or none (16 digits), at byte 61,"
                + " in resourceSpans[0].scopeSpans[0].spans[0].parent_span_id"
        ),
        (
            span(#""attributes":[{"value":{"bytesValue":"=A"}}]"#),
            "not base 64 at byte 81, in resourceSpans[0].scopeSpans[0].spans[0].attributes[0].value.bytesValue"
        ),
        (span(#""name":7"#), "expected a string at byte 51, in resourceSpans[0].scopeSpans[0].spans[0].name"),
        (#"{"resourceSpans":{}}"#, "expected a list at byte 17, in resourceSpans"),
        (#"{"resourceSpans":[7]}"#, "expected an object at byte 18, in resourceSpans[0]"),
        ("[]", "expected an object at byte 0"), ("", "the JSON text ends early at byte 0"),
        ("{} {}", "expected the end of the text at byte 3"),
    ])
    func faultsAreNamed(text: String, expected: String) { #expect(jsonFault(text, .traces) == expected) }

    /// If it failed, clients whose JSON library writes whole numbers as doubles (PHP, Lua) would lose their times.
    @Test(arguments: [
        ("1712099631002478000.0", 1_712_099_631_002_478_000),
        ("1712099631002478000", 1_712_099_631_002_478_000),
        ("1.712099631002478e18", 1_712_099_631_002_478_000),
        ("1.7120996310024780000e+18", 1_712_099_631_002_478_000),
        ("18446744073709551615", UInt64.max), ("18446744073709551615.0", .max),
        ("18446744073709551615.000", .max), ("0.0", 0),
        ("10000000000000000000.00", 10_000_000_000_000_000_000),
    ])
    func wholeNumbersMayHaveAPoint(text: String, value: UInt64) throws {
        for written in [text, "\"" + text + "\""] {
            let request = try requestFromJSON(span(#""startTimeUnixNano":"# + written), .traces)
            #expect(request == traceRequest { if value > 0 { $0.fixed64(7, value) } })
        }
    }

    @Test(arguments: ["1712099631002478000.5", "18446744073709551615.01", "18446744073709551616.0", "0.1"])
    func fractionsAreNoTimes(text: String) {
        #expect(
            jsonFault(span(#""startTimeUnixNano":"# + text), .traces)?.contains("number out of range") == true
        )
    }

    /// If it failed, what the wire form refuses as too deep would pass in JSON, or end the process.
    @Test func nestingHasALimit() throws {
        func nested(_ depth: Int) -> String {
            let value =
                String(repeating: #"{"kvlistValue":{"values":[{"key":"k","value":"#, count: depth) + "{}"
                + String(repeating: "}]}}", count: depth)
            return #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":"# + value + "}]}]}]}"
        }
        let deepest = try requestFromJSON(nested(63), .logs)
        #expect(try summary(deepest, .logs).items == 1)
        // As it was written, through lengths of five bytes.
        #expect(otlpJSONText(deepest, .logs) == nested(63))
        #expect(fault(try requestFromJSON(nested(64), .logs), .logs)?.reason == .tooDeep)
        #expect(jsonFault(nested(100), .logs)?.hasPrefix("objects and lists nested deeper than 320") == true)
    }

    @Test func anOutputThatIsTooSmall() throws {
        let text = otlpJSONText(RequestBuilder.makeTraces(spans: 2), .traces)
        let whole = try requestFromJSON(text, .traces)
        for capacity in 0..<whole.count {
            #expect(throws: OTLPJSONError.outputFull) {
                _ = try requestFromJSON(Array(text.utf8), .traces, capacity: capacity)
            }
        }
        #expect(try requestFromJSON(Array(text.utf8), .traces, capacity: whole.count + 20) == whole)
    }

    /// What we write is what we read: all fields, values and lists, whatever the order on the wire.
    @Test(arguments: Signal.allCases)
    func whatIsWrittenIsReadAgain(signal: Signal) throws {
        for seed in 0..<400 as Range<UInt64> {
            let request = RandomRequest.make(signal, seed: seed)
            let text = otlpJSONText(request, signal)
            let again = try requestFromJSON(text, signal)
            #expect(try summary(again, signal) == (try summary(request, signal)), "seed \(seed)")
            #expect(otlpJSONText(again, signal) == text, "seed \(seed)")
        }
        let usual = RequestBuilder.make(signal, items: 50)
        #expect(
            otlpJSONText(try requestFromJSON(otlpJSONText(usual, signal), signal), signal)
                == otlpJSONText(usual, signal))
    }

    /// Text that is not UTF-8 and keys that are told twice can be mended, unless the request has another fault.
    private func checkRepair(_ request: [UInt8], _ signal: Signal, _ round: Int) {
        do {
            #expect(fault(try mended(request, signal), signal) == nil, "round \(round)")
        } catch {
            #expect(error.reason == .tooDeep, "round \(round)")
        }
    }

    /// Bytes that are almost OTLP JSON are refused or give a valid request; nothing else happens.
    /// `SLUICE_FUZZ_SECONDS` lengthens it.
    @Test func anyTextAtAll() {
        let pieces = [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud83d", "null", "true", "-", "1e9", "0.5",
            "1e999",
            "\"NaN\"", "\"values\":", "\"arrayValue\":", "\u{1F600}", "\0", "é", "18446744073709551616",
        ].map { Array($0.utf8) }
        var random = SeededRandom(seed: 20_261_124)
        let seconds = getenv("SLUICE_FUZZ_SECONDS").flatMap { Int(String(cString: $0)) } ?? 0
        let end = ContinuousClock.now + .seconds(seconds)
        var round = 0
        while round < 3000 || ContinuousClock.now < end {
            defer { round += 1 }
            let signal = Signal.allCases[round % 3]
            var text = Array(otlpJSONText(RandomRequest.make(signal, seed: UInt64(round % 50)), signal).utf8)
            for _ in 0...random.below(6) {
                let start = random.below(text.count + 1)
                let count = min(random.below(12), text.count - start)
                switch random.below(4) {
                case 0: text.removeSubrange(start..<start + count)
                case 1: text.insert(contentsOf: pieces[random.below(pieces.count)], at: start)
                case 2: text.insert(contentsOf: text[start..<start + count], at: random.below(text.count + 1))
                default: text.replaceSubrange(start..<start + count, with: random.bytes(count))
                }
            }
            do throws(OTLPJSONError) {
                let request = try requestFromJSON(text, signal)
                switch fault(request, signal)?.reason {
                case nil, .tooDeep: break
                case .invalidUTF8, .scattered: checkRepair(request, signal, round)
                case let reason?: Issue.record("round \(round): \(reason)")
                }
            } catch {
                guard case .invalid(let fault) = error else {
                    Issue.record("round \(round): \(error)")
                    continue
                }
                #expect(fault.offset <= text.count, "round \(round)")
            }
        }
    }
}
