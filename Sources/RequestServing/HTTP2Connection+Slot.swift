internal import HTTP
internal import NIOCore

extension HTTP2Connection {
    /// The place of one open stream; used again by later ones.
    struct Slot {
        let reader: RequestReader
        /// The open stream that uses the slot.
        var stream: HTTP2Stream?
        /// When its header came.
        var began = NIODeadline.distantPast
        /// When it was answered.
        var answered = NIODeadline.distantPast
        /// When its client gives up; `distantFuture` unless it says.
        var deadline = NIODeadline.distantFuture
        /// What the answer says to a browser.
        var corsFields: CORSPolicy.Fields = []
    }
}
