internal import Configuration
internal import NIOCore

/// The limits that time sets to one request. Immutable; any thread.
struct RequestTimes: Sendable {
    /// From the header of a request to the end of its body; nil = unlimited. `read_timeout`.
    var read: TimeAmount?
    /// From the header of a request to the end of the answer; nil = unlimited. `write_timeout`.
    var write: TimeAmount?
}

/// The limits that time sets to an HTTP/1.1 connection. Immutable; any thread.
struct HTTP1Limits: Sendable {
    /// From the first byte of a request to the end of its header; a minute unless `read_header_timeout` says otherwise.
    var readHeader = TimeAmount.minutes(1)
    /// From the header of a request to the end of its body; nil = unlimited. `read_timeout`.
    var read: TimeAmount?
    /// From the header of a request to the end of the answer; nil = unlimited. `write_timeout`.
    var write: TimeAmount?
    /// Between two requests; nil = unlimited. `idle_timeout`.
    var idle: TimeAmount?
    /// Age at which a connection ends with its next answer, give or take a tenth; nil = never. `max_connection_age`.
    var age: TimeAmount?
    /// Time for a request that is under way then; nil = unlimited. `max_connection_age_grace`.
    var ageGrace: TimeAmount?
    /// Whether a connection serves more than one request. `keep_alives_enabled`.
    var keepAlives = true

    /// The defaults.
    init() {}

    /// The limits that a configuration asks for; zero is "not set".
    init(_ config: HTTPServerConfig) {
        func limit(_ duration: Duration) -> TimeAmount? { duration > .zero ? TimeAmount(duration) : nil }
        readHeader = limit(config.readHeaderTimeout) ?? readHeader
        read = limit(config.readTimeout)
        write = limit(config.writeTimeout)
        idle = limit(config.idleTimeout)
        keepAlives = config.keepAlivesEnabled
        age = config.maxConnectionAge.map { TimeAmount($0) }
        ageGrace = config.maxConnectionAgeGrace.map { TimeAmount($0) }
    }

    /// How often connections should be looked at.
    var checkInterval: TimeAmount {
        let shortest = [readHeader, read, write, idle, age, ageGrace].compactMap { $0 }.min() ?? readHeader
        return min(max(.nanoseconds(shortest.nanoseconds / 8), .milliseconds(10)), .seconds(15))
    }
}
