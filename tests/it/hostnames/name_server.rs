//! The example `ask` with a real name server, dnsmasq, in a network namespace of its own: the names
//! there are the test's, whatever the machine's are.

use crate::support::{Child, Folder, has_tool};
use std::process::{Command, Output};

/// Sets up the loopback device and the name server, starts the example `answer`, and asks each of
/// the names for it. In the namespace all port numbers are free.
const SCRIPT: &str = r#"
ip link set lo up
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' > "$FOLDER/resolv.conf"
printf 'hosts: files dns\n' > "$FOLDER/nsswitch.conf"
mount --bind "$FOLDER/resolv.conf" /etc/resolv.conf
mount --bind "$FOLDER/nsswitch.conf" /etc/nsswitch.conf
# A name server that never answers.
nc -u -l 127.0.0.1 5999 > "$FOLDER/questions" &
# Without a change of its user, which it may not make in a user namespace.
dnsmasq --no-daemon --port=53 --listen-address=127.0.0.1 --bind-interfaces \
    --no-resolv --no-hosts --conf-file=/dev/null \
    --address=/both.test/127.0.0.1 --address=/both.test/::1 \
    --address=/six.test/::1 --address=/none.test/ --server=/mute.test/127.0.0.1#5999 \
    2> "$FOLDER/log" &
until grep -q started "$FOLDER/log"; do kill -0 $!; sleep 0.05; done
mkfifo "$FOLDER/said"
"$ANSWER" tcp:8007:interface=127.0.0.1 > "$FOLDER/said" &
read -r listening < "$FOLDER/said"
echo "$listening"
for name in both.test both.test. six.test none.test mute.test; do
    "$ASK" "$name:8007" 'How are you?' 2>&1 || echo "status $?"
done
"#;

/// Runs the script in namespaces of its own, which end with it.
fn run(script: &str, folder: &Folder) -> Output {
    let mut command = Command::new("timeout");
    command.args(["60", "unshare", "--map-root-user", "--mount", "--net", "--pid", "--fork"]);
    command.args(["--kill-child", "sh", "-eu", "-c", script]);
    command.env("FOLDER", folder.join("")).env("RUST_LOG", "off");
    command.env("ASK", Child::path("ask")).env("ANSWER", Child::path("answer"));
    command.output().unwrap()
}

/// Returns true if this process may create namespaces; otherwise the test is skipped, with a
/// message, or fails where `TWISTOR_TOOLS=required`.
fn has_namespaces(folder: &Folder) -> bool {
    let output = run("ip link set lo up", folder);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let missing = format!("no network namespace can be created: {why}");
        assert!(std::env::var("TWISTOR_TOOLS").as_deref() != Ok("required"), "{missing}");
        eprintln!("skipped: {missing}");
    }
    output.status.success()
}

#[test]
fn ask_finds_a_server_by_the_names_of_a_name_server() {
    let tools = [
        ("dnsmasq", "dnsmasq-base"),
        ("ip", "iproute2"),
        ("nc", "netcat-openbsd"),
        ("unshare", "util-linux"),
    ];
    let folder = Folder::new();
    if !tools.iter().all(|(tool, package)| has_tool(tool, package)) || !has_namespaces(&folder) {
        return;
    }
    let output = run(SCRIPT, &folder);
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut lines = said.lines();
    let mut expect = |beginning: &str| {
        let line = lines.next().unwrap_or_default();
        assert!(
            line.starts_with(beginning),
            "{line:?} instead of {beginning:?} of\n{said}{errors}"
        );
        line.to_owned()
    };
    expect("listening on 127.0.0.1:8007");
    // ::1 refuses, and comes first.
    expect("Fine");
    expect("Fine");
    let refused = expect("cannot connect to six.test:8007: [::1]:8007: ");
    assert!(refused.contains("refused"), "{refused}");
    expect("status 1");
    expect("cannot connect to none.test:8007: cannot resolve none.test: ");
    expect("status 1");
    expect("cannot connect to mute.test:8007: cannot resolve mute.test: ");
    expect("status 1");
    let asked = std::fs::read(folder.join("questions")).unwrap();
    assert!(!asked.is_empty(), "the mute name server was asked");
}
