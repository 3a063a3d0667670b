package import Configuration

/// How data gets into a node, and what is true of everything behind it.
///
/// Made from the back of a pipeline to its front: a processor's input is that of the next node with what the processor
/// itself adds. At its front a receiver asks it before it reads a body.
package struct PipelineInput: Sendable {
    /// Takes the batches.
    package let consumer: any Consumer
    /// Who must agree before the memory for a request is taken.
    package var admission: [any AdmissionControl]
    /// Whether the answer to a client must wait for its batch to be settled.
    package var answersLater: Bool
    /// Whether a client should get its answer when its batch is settled, though it need not: what is taken at once would only
    /// wait longer in front of this node. Not passed on by who holds data in between or joins several inputs.
    package var pacesClients: Bool
    /// Whether somebody behind it passes gzip members on as they came.
    package var keepsGzip: Bool
    /// Requests of more bytes take so long that a receiver lets somebody else than its event loop work on them. Not passed on by
    /// who holds data in between.
    package var largeBytes: Int

    /// Describes an input.
    package init(
        _ consumer: any Consumer, admission: [any AdmissionControl] = [], answersLater: Bool = false,
        pacesClients: Bool = false, keepsGzip: Bool = false, largeBytes: Int = .max
    ) {
        self.consumer = consumer
        self.admission = admission
        self.answersLater = answersLater
        self.pacesClients = pacesClients
        self.keepsGzip = keepsGzip
        self.largeBytes = largeBytes
    }

    /// The input of a processor that stands before this one: the same but for who takes the batches.
    package func behind(_ consumer: any Consumer, admission: [any AdmissionControl] = []) -> PipelineInput {
        PipelineInput(
            consumer, admission: admission + self.admission, answersLater: answersLater,
            pacesClients: pacesClients, keepsGzip: keepsGzip, largeBytes: largeBytes)
    }

    /// One input for several that get the same data.
    package static func joining(_ inputs: [PipelineInput]) -> PipelineInput {
        PipelineInput(
            FanOut.joining(inputs.map(\.consumer)), admission: inputs.flatMap(\.admission),
            answersLater: inputs.contains(where: \.answersLater),
            pacesClients: inputs.allSatisfy(\.pacesClients),
            keepsGzip: inputs.contains(where: \.keepsGzip),
            largeBytes: inputs.map(\.largeBytes).min() ?? .max)
    }

    /// Whether a receiver answers a client when its batch is settled, not when it was taken.
    package var isAnsweredWhenSettled: Bool { answersLater || pacesClients }

    /// The first objection to taking `bytes` more.
    package func admit(bytes: Int) -> Refusal? {
        for control in admission {
            if let refusal = control.admit(bytes: bytes) { return refusal }
        }
        return nil
    }

    /// Whether receivers should leave bytes in their sockets for the moment.
    package var shouldPause: Bool { admission.contains { $0.shouldPause } }

    /// The bytes that requests may hold in all; `Int.max` where nobody says.
    package var limitBytes: Int { admission.reduce(.max) { min($0, $1.limitBytes) } }
}

/// Where a receiver or a connector puts data: for a receiver the input of all pipelines of one signal that name it, for a
/// connector that of one of them.
package struct PipelineOutput: Sendable {
    package let input: PipelineInput
    /// The pipeline, for a connector that chooses among them; nil for a receiver.
    package let pipeline: PipelineID?
    /// Has the counters of what is brought in, which are the `entry` of the batches.
    package let account: NodeAccount

    /// Describes an output.
    package init(_ input: PipelineInput, pipeline: PipelineID? = nil, _ account: NodeAccount) {
        self.input = input
        self.pipeline = pipeline
        self.account = account
    }
}
