//! Replays the recorded behaviour of Twisted's `LineReceiver`; `tests/vectors/README.md` explains
//! the cases.

use crate::driver::scripted::{Peer, Script};
use crate::framing::{Delimiter, LineContext, LineReceiver, Lines};
use crate::{Factory, ListeningPort, Reactor, Reason, Settings, Transport};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

const CASES: &str = include_str!("../../../tests/vectors/line_receiver.jsonl");

/// Cases in which twistor differs, and how Twisted behaves in them. twistor delivers nothing after
/// `lose_connection` or `abort_connection`, and sends nothing that is written after them.
const DIFFERENT: [(&str, &str); 4] = [
    ("LR-0182", "a line is delivered after lose_connection in raw_data_received"),
    ("LR-0196", "a line is delivered after lose_connection, when reading is resumed"),
    ("LR-0210", "a line that is sent after lose_connection still leaves"),
    ("LR-0217", "lines are delivered after abort_connection"),
];

type Events = Rc<RefCell<Vec<Value>>>;

/// The application of a case: it follows the rules of the case.
struct App {
    rules: Vec<Value>,
    events: Events,
    /// How often each kind of event has happened.
    counts: HashMap<String, u64>,
    raw_left: Option<u64>,
}

impl App {
    fn log(&self, event: &str, argument: Option<Value>) {
        let mut row = vec![Value::from(event)];
        row.extend(argument);
        self.events.borrow_mut().push(Value::from(row));
    }

    /// Logs an event and obeys the rule that matches it; returns false if there is none.
    fn happened(&mut self, cx: &mut LineContext<'_, Cases>, on: &str, bytes: &[u8]) -> bool {
        let count = self.counts.entry(on.to_owned()).or_default();
        *count += 1;
        let count = *count;
        let rule = self.rules.iter().find(|rule| {
            rule["on"] == on
                && rule.get("equals").is_none_or(|equals| unhex(equals) == bytes)
                && rule.get("nth").is_none_or(|nth| nth.as_u64() == Some(count))
        });
        let Some(rule) = rule.cloned() else {
            return false;
        };
        for action in rule["do"].as_array().unwrap() {
            self.act(cx, action, on, bytes);
            if action["do"] == "fail" {
                break;
            }
        }
        true
    }

    fn act(&mut self, cx: &mut LineContext<'_, Cases>, action: &Value, on: &str, bytes: &[u8]) {
        let data = action.get("data").map(unhex).unwrap_or_default();
        match action["do"].as_str().unwrap() {
            "write" => self.write(cx, &data),
            "send_line" => self.send_line(cx, &data),
            "reply" if on == "line" => self.send_line(cx, bytes),
            "reply" => self.write(cx, bytes),
            "set_raw_mode" => {
                self.raw_left = action.get("bytes").and_then(Value::as_u64);
                cx.set_raw_mode();
            }
            "set_line_mode" => {
                self.raw_left = None;
                cx.set_line_mode(&action.get("extra").map(unhex).unwrap_or_default());
            }
            "clear_line_buffer" => {
                let cleared = cx.clear_line_buffer();
                self.log("cleared", Some(hex(&cleared)));
            }
            "pause" => self.noting_pauses(cx, |cx| cx.pause_reading()),
            "resume" => self.noting_pauses(cx, |cx| cx.resume_reading()),
            "transport_pause" => self.noting_pauses(cx, |cx| cx.transport.pause_reading()),
            "transport_resume" => self.noting_pauses(cx, |cx| cx.transport.resume_reading()),
            "lose_connection" | "stop" => {
                self.noting_end(cx, "lose_connection", |cx| cx.transport.lose_connection());
            }
            "abort_connection" => {
                self.noting_end(cx, "abort_connection", |cx| cx.transport.abort_connection());
            }
            "fail" => cx.transport.fail("the application's error"),
            other => panic!("unknown action {other}"),
        }
    }

    fn write(&self, cx: &LineContext<'_, Cases>, data: &[u8]) {
        cx.transport.write(data);
        self.note_write(cx, data);
    }

    fn send_line(&self, cx: &LineContext<'_, Cases>, line: &[u8]) {
        cx.send_line(line);
        self.note_write(cx, &[line, cx.delimiter().as_bytes()].concat());
    }

    /// Notes a write, to be compared with the bytes that arrive.
    fn note_write(&self, cx: &LineContext<'_, Cases>, data: &[u8]) {
        if data.is_empty() || !cx.transport.is_connected() || cx.transport.is_disconnecting() {
            return;
        }
        let mut events = self.events.borrow_mut();
        match events.last_mut() {
            Some(last) if last[0] == "write" => {
                last[1] = hex(&[unhex(&last[1]), data.to_vec()].concat());
            }
            _ => events.push(Value::from(vec![Value::from("write"), hex(data)])),
        }
    }

    fn noting_pauses(
        &self,
        cx: &mut LineContext<'_, Cases>,
        call: impl FnOnce(&mut LineContext<'_, Cases>),
    ) {
        let before = cx.transport.is_paused();
        call(cx);
        match (before, cx.transport.is_paused()) {
            (false, true) => self.log("pause", None),
            (true, false) => self.log("resume", None),
            _ => {}
        }
    }

    /// Logs a request to end the connection if it is the first of its kind.
    fn noting_end(
        &self,
        cx: &mut LineContext<'_, Cases>,
        name: &str,
        call: impl FnOnce(&mut LineContext<'_, Cases>),
    ) {
        let first = !self.events.borrow().iter().any(|event| event[0] == name);
        let open = cx.transport.is_connected();
        let disconnecting = cx.transport.is_disconnecting();
        call(cx);
        if first && open && (name == "abort_connection" || !disconnecting) {
            self.log(name, None);
        }
    }
}

/// Has only defaults.
struct Default_;

impl LineReceiver<Cases> for Default_ {
    fn line_received(&mut self, _: &mut LineContext<'_, Cases>, _: &[u8]) {}
}

impl LineReceiver<Cases> for App {
    fn connection_made(&mut self, cx: &mut LineContext<'_, Cases>) {
        self.log("connection_made", None);
        self.happened(cx, "connect", b"");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Cases>, line: &[u8]) {
        self.log("line", Some(hex(line)));
        self.happened(cx, "line", line);
    }

    fn raw_data_received(&mut self, cx: &mut LineContext<'_, Cases>, data: &[u8]) {
        self.log("raw", Some(hex(data)));
        self.happened(cx, "raw", data);
        if let Some(left) = self.raw_left {
            let taken = data.len().min(left as usize);
            self.raw_left = Some(left - taken as u64).filter(|left| *left > 0);
            if self.raw_left.is_none() {
                cx.set_line_mode(&data[taken..]);
            }
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, Cases>, line: &[u8]) {
        self.log("line_length_exceeded", Some(hex(line)));
        if !self.happened(cx, "line_length_exceeded", line) {
            self.noting_end(cx, "lose_connection", |cx| Default_.line_length_exceeded(cx, line));
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Cases>, reason: &Reason) {
        let name = match reason {
            Reason::Done => "ConnectionDone",
            Reason::Aborted => "ConnectionAborted",
            Reason::Lost(_) => "ConnectionLost",
            Reason::Failed(_) => "AppError",
            other => panic!("{other}"),
        };
        self.log("connection_lost", Some(name.into()));
        self.happened(cx, "connection_lost", b"");
    }
}

/// Builds the application of one case.
struct Cases {
    app: Option<Lines<App>>,
}

impl Factory for Cases {
    type Protocol = Lines<App>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<App>> {
        self.app.take()
    }
}

/// A case that is running.
struct Replay {
    reactor: Reactor,
    port: ListeningPort<Cases>,
    peer: Peer,
    events: Events,
}

impl Replay {
    fn begin(case: &Value) -> Self {
        let events = Events::default();
        let app = App {
            rules: case["rules"].as_array().unwrap().clone(),
            events: Rc::clone(&events),
            counts: HashMap::new(),
            raw_left: None,
        };
        let mut lines = Lines::new(app);
        if let Some(delimiter) = case["settings"]["delimiter"].as_str() {
            lines = lines.delimiter(Delimiter::from(unhex(&delimiter.into())));
        }
        if let Some(max_length) = case["settings"]["max_length"].as_u64() {
            lines = lines.max_length(max_length as usize);
        }
        let script = Script::new();
        let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
        let port = reactor.listen_tcp(8007, Cases { app: Some(lines) }).unwrap();
        let peer = script.connect();
        Self { reactor, port, peer, events }
    }

    /// Runs turns until nothing more happens; returns the events.
    fn settle(&mut self) -> Value {
        let mut quiet = 0;
        while quiet < 3 {
            let before = (self.events.borrow().len(), self.peer.calls());
            assert!(self.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
            let after = (self.events.borrow().len(), self.peer.calls());
            quiet = if after == before { quiet + 1 } else { 0 };
        }
        Value::from(std::mem::take(&mut *self.events.borrow_mut()))
    }

    fn step(&mut self, id: crate::ConnectionId, step: &Value) -> Value {
        if let Some(data) = step.get("data") {
            self.peer.send(unhex(data));
        } else if let Some(close) = step.get("close") {
            match close.as_str().unwrap() {
                "ConnectionDone" => self.peer.close(),
                _ => self.peer.reset_in_line(),
            }
        } else {
            let actions = step["do"].as_array().unwrap();
            // Some cases ask for something when the connection is gone.
            let _ = self.reactor.with_protocol(&self.port, id, |lines: &mut Lines<App>, cx| {
                lines.with_receiver(cx, |app, cx| {
                    for action in actions {
                        app.act(cx, action, "", b"");
                    }
                });
            });
        }
        self.settle()
    }
}

fn replay(case: &Value) -> Value {
    let mut replay = Replay::begin(case);
    let mut groups = vec![replay.settle()];
    // The first entry of the table of a new reactor.
    let id = replay.reactor.first_connection();
    for step in case["steps"].as_array().unwrap() {
        groups.push(replay.step(id, step));
    }
    let written: Vec<u8> = groups
        .iter()
        .flat_map(|group| group.as_array().unwrap())
        .filter(|event| event[0] == "write")
        .flat_map(|event| unhex(&event[1]))
        .collect();
    let aborted = groups.iter().any(|group| group.to_string().contains("ConnectionAborted"));
    let received = replay.peer.received();
    assert!(received == written || aborted, "{}: not all that was written arrived", case["id"]);
    Value::from(groups)
}

/// `6162 78*3` is `ab` and three times `x`.
fn unhex(text: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for token in text.as_str().unwrap().split_whitespace() {
        let (digits, times) = token.split_once('*').unwrap_or((token, "1"));
        let piece: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect();
        bytes.extend(piece.repeat(times.parse().unwrap()));
    }
    bytes
}

fn hex(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// Converts bytes into one form, however they were written.
fn normal(groups: &Value) -> Value {
    let event = |event: &Value| {
        let argument = event.get(1).map(|argument| {
            let text = argument.as_str().unwrap();
            let is_bytes = event[0] != "connection_lost";
            if is_bytes { hex(&unhex(argument)) } else { text.into() }
        });
        Value::from([vec![event[0].clone()], argument.into_iter().collect()].concat())
    };
    let group = |group: &Value| group.as_array().unwrap().iter().map(event).collect::<Value>();
    groups.as_array().unwrap().iter().map(group).collect()
}

#[test]
fn every_case_ends_as_in_twisted() {
    let cases: Vec<Value> = CASES.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(cases.len(), 314);
    let mut wrong = Vec::new();
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let expected = normal(&case["events"]);
        let observed = replay(case);
        let same = observed == expected;
        let different = DIFFERENT.iter().any(|(listed, _)| *listed == id);
        if same == different {
            wrong.push(format!("{id}\n  expected {expected}\n  observed {observed}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}
