internal import NIOCore
package import Pipeline

extension MemoryLimiterConfig: ComponentConfig {}

extension ComponentType {
    /// `memory_limiter`: one limiter for each id, which all pipelines that name it share.
    package static let memoryLimiter = processor(
        "memory_limiter", stability: .stable, MemoryLimiterConfig.self
    ) {
        config, context, next in
        let limiter = try context.shared {
            let limiter = try MemoryLimiter(config, context)
            context.ledger.limit(by: limiter)
            return limiter
        }
        return MemoryLimiterStage(limiter, context, next: next)
    }
}

extension MemoryLimiter {
    /// A limiter with the limits of a configuration.
    /// - Throws: a percentage is asked for and the size of the memory is not known.
    convenience init(_ config: MemoryLimiterConfig, _ context: ComponentContext) throws(ComponentError) {
        let total = TotalMemory.find()?.bytes ?? 0
        guard config.limitMib > 0 || total > 0 else {
            throw ComponentError(
                "limit_percentage needs the size of the memory, which neither the control group nor /proc/meminfo tells; write limit_mib"
            )
        }
        let limits = config.limits(totalMemory: total)
        let residentSize = context.gateway.residentSize
        let idle = (try? residentSize.read()) ?? 0
        let loops = context.gateway.group.makeIterator().reduce(0) { count, _ in count + 1 }
        self.init(
            limits: Limits(hardBytes: limits.hard, softBytes: limits.soft),
            overheadBytes: idle + loops * BufferPool.retainedBytesMax, checkInterval: config.checkInterval,
            ledger: context.ledger, measureResident: { try? residentSize.read() },
            health: context.gateway.health,
            refusedRequests: context.registry.counter(
                "sluice_processor_memory_limiter_refused_requests",
                help: "Requests refused before their body was read.", labels: ["processor": context.name]),
            eventLoop: context.eventLoop, logger: context.logger)
    }
}
