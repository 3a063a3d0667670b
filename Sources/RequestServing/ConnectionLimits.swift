package import Configuration
internal import HTTP

/// What one connection may cost.
package struct ConnectionLimits: Sendable, Equatable {
    /// What incomplete requests may hold together, in percent (1…100) of what `memory_limiter` leaves for requests.
    /// Default 50. Key `incomplete_memory_percentage`.
    package var incompleteMemoryPercentage = 50
    /// The same for one connection, a single request apart. Default 10. Key `connection_memory_percentage`.
    package var connectionMemoryPercentage = 10
    /// The same for the connections from one address; 0 = no bound, the default. Key `address_memory_percentage`.
    package var addressMemoryPercentage = 0
    /// Frames a second that carry next to nothing, beside those of requests. Default 2000. Key
    /// `empty_frames_per_second`.
    package var emptyFramesPerSecond = 2000
    /// Such frames at once. Default 20000. Key `empty_frames_burst`.
    package var emptyFramesBurst = 20_000
    /// The percentage (1…100) of one core that a connection may take for what is no request. Default 10. Key
    /// `wasted_time_percentage`.
    package var wastedTimePercentage = 10
    /// How long answers may take after a client has ended its side. More than 0, default 5 s. Key
    /// `half_closed_timeout`.
    package var halfClosedTimeout: Duration = .seconds(5)

    package init() {}
}

extension ConnectionLimits {
    /// Reads and finishes the section.
    package init(_ section: ConfigSection) {
        self.init()
        incompleteMemoryPercentage = section.int(
            "incomplete_memory_percentage", default: incompleteMemoryPercentage, in: 1...100)
        connectionMemoryPercentage = section.int(
            "connection_memory_percentage", default: connectionMemoryPercentage, in: 1...100)
        addressMemoryPercentage = section.int(
            "address_memory_percentage", default: addressMemoryPercentage, in: 0...100)
        emptyFramesPerSecond = section.int(
            "empty_frames_per_second", default: emptyFramesPerSecond, in: 1...Int(Int32.max))
        emptyFramesBurst = section.int(
            "empty_frames_burst", default: emptyFramesBurst, in: 1...Int(Int32.max))
        wastedTimePercentage = section.int(
            "wasted_time_percentage", default: wastedTimePercentage, in: 1...100)
        halfClosedTimeout = section.duration("half_closed_timeout", default: halfClosedTimeout)
        if halfClosedTimeout <= .zero, !section.isBroken("half_closed_timeout") {
            section.report(
                "half_closed_timeout", error: "must be greater than zero",
                help: "write half_closed_timeout: 5s")
        }
        section.finish()
    }

    var work: WorkBudget.Limits {
        var limits = WorkBudget.Limits()
        limits.percentage = wastedTimePercentage
        return limits
    }

    var frames: FrameBudget.Limits {
        var limits = FrameBudget.Limits()
        limits.burst = emptyFramesBurst
        limits.perSecond = emptyFramesPerSecond
        return limits
    }
}
