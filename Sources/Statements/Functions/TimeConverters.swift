internal import Glibc

enum TimeConverters {
    private static func zone(_ name: String) throws(FunctionError) -> TimeZone {
        do throws(TimeZone.Unknown) { return try TimeZone(name) } catch {
            throw FunctionError("failed to load location \(name): \(error)")
        }
    }

    static var all: [Function] {
        [
            Function("Now", []) { _ in { _ in .time(now()) } },
            Function(
                "Time",
                [
                    .required("time", .string), .required("format", .literalString),
                    .optional("location", .literalString),
                    .optional("locale", .literalString),
                ]
            ) { arguments throws(FunctionError) in
                let text = arguments.expression(0)
                let format = arguments.text(1) ?? ""
                guard !format.isEmpty else { throw FunctionError("format cannot be nil") }
                let layout = try TimeLayout(format)
                let zone = try zone(arguments.text(2) ?? "")
                let tag = arguments.text(3) ?? "en"
                guard let locale = TimeLocale(tag) else {
                    throw FunctionError(
                        "unsupported locale '\(tag)': the names of months and days are known in \(TimeLocale.names)"
                    )
                }
                return { frame throws(EvaluationError) in
                    let text = try text.evaluate(frame).asString().text
                    guard !text.isEmpty else { throw EvaluationError("time cannot be nil") }
                    return .time(try layout.parse(text, zone: zone, locale: locale))
                }
            },
            Function("FormatTime", [.required("time", .time), .required("format", .literalString)]) {
                arguments throws(FunctionError) in
                let time = arguments.expression(0)
                let format = arguments.text(1) ?? ""
                guard !format.isEmpty else { throw FunctionError("format cannot be nil") }
                let layout = try TimeLayout(format)
                return { frame throws(EvaluationError) in
                    .text(layout.text(try time.evaluate(frame).asTime()))
                }
            },
            Function("TruncateTime", [.required("time", .time), .required("duration", .duration)]) {
                arguments in
                let (time, duration) = (arguments.expression(0), arguments.expression(1))
                return { frame throws(EvaluationError) in
                    let time = try time.evaluate(frame).asTime()
                    let step = try duration.evaluate(frame).asDuration()
                    guard step > 0 else { return .time(time) }
                    // Counted from the year 1, as Go does.
                    let zero = Timestamp(seconds: -62_135_596_800, nanoseconds: 0)
                    let total = (Int128(time.seconds) - Int128(zero.seconds)) * 1_000_000_000
                    let rest = (total + Int128(time.nanoseconds)) % Int128(step)
                    return .time(time.adding(0 - Int64(rest)))
                }
            },
            Function("Unix", [.required("seconds", .int), .optional("nanoseconds", .int)]) { arguments in
                let (seconds, nanoseconds) = (arguments.expression(0), arguments.optionalExpression(1))
                return { frame throws(EvaluationError) in
                    .time(
                        Timestamp(
                            seconds: try seconds.evaluate(frame).asInt(),
                            nanoseconds: try nanoseconds?.evaluate(frame).asInt() ?? 0))
                }
            },
            int("UnixSeconds") { $0.seconds },
            int("UnixMilli") { $0.seconds &* 1_000 &+ $0.nanoseconds / 1_000_000 },
            int("UnixMicro") { $0.seconds &* 1_000_000 &+ $0.nanoseconds / 1_000 },
            int("UnixNano") { $0.unixNano },
            int("Year") { CivilTime($0).year },
            int("Month") { CivilTime($0).month },
            int("Day") { CivilTime($0).day },
            int("Hour") { CivilTime($0).hour },
            int("Minute") { CivilTime($0).minute },
            int("Second") { CivilTime($0).second },
            int("Nanosecond") { $0.nanoseconds },
            int("Weekday") { CivilTime($0).weekday },
        ]
    }

    private static func int(_ name: String, _ body: @escaping (Timestamp) -> Int64) -> Function {
        Converters.unary(name, .time, parameter: "time") { value throws(EvaluationError) in
            .int(body(try value.asTime()))
        }
    }

    static func now() -> Timestamp {
        var time = timespec()
        // SAFETY: the clock exists and the memory is ours.
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
    }
}

enum DurationConverters {
    static var all: [Function] {
        [
            Converters.unary("Duration", .string, parameter: "duration") { value throws(EvaluationError) in
                .duration(Nanoseconds(count: try DurationText.parse(value.asString().text)))
            },
            double("Hours", 3600e9), double("Minutes", 60e9), double("Seconds", 1e9),
            int("Milliseconds", 1_000_000), int("Microseconds", 1_000), int("Nanoseconds", 1),
        ]
    }

    private static func double(_ name: String, _ unit: Double) -> Function {
        Converters.unary(name, .duration, parameter: "duration") { value throws(EvaluationError) in
            .double(Double(try value.asDuration()) / unit)
        }
    }

    private static func int(_ name: String, _ unit: Int64) -> Function {
        Converters.unary(name, .duration, parameter: "duration") { value throws(EvaluationError) in
            .int(try value.asDuration() / unit)
        }
    }
}
