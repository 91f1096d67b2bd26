//! The example `mail`, over STARTTLS and encrypted from the beginning, with mail clients of others.

use super::{Files, run, said};
use crate::support::{Child, TIMEOUT, has_tool, interrupt};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Instant;

/// Starts it with a certificate, and a folder for the letters.
fn start(files: &Files, endpoint: &str) -> (Child, SocketAddr) {
    let mut command = Command::new(Child::path("mail"));
    command.args([endpoint, "localhost.pem", "localhost-key.pem", "letters"]);
    let server = Child::spawn(command.current_dir(files.folder()).env("RUST_LOG", "info"));
    let address = server.address();
    (server, address)
}

fn letters(files: &Files) -> Vec<String> {
    let entries = fs::read_dir(files.path("letters/new")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

const PLAIN: &str = "tcp:0:interface=127.0.0.1";

#[test]
fn s_client_sends_a_letter_over_starttls() {
    if !has_tool("openssl", "openssl") {
        return;
    }
    let files = Files::new();
    let (_server, address) = start(&files, PLAIN);
    for version in ["-tls1_2", "-tls1_3"] {
        let mut command = files.command("openssl");
        command.args(["s_client", "-connect", &address.to_string(), "-starttls", "smtp", version]);
        command.args(["-CAfile", "authority.pem", "-verify_return_error", "-quiet"]);
        command.args(["-verify_hostname", "localhost", "-servername", "localhost"]);
        // What it has said before is forgotten, so MAIL comes too early.
        let input = "MAIL FROM:<ann>\r\nEHLO me\r\nMAIL FROM:<ann>\r\nRCPT TO:<bob>\r\nDATA\r\n\
                     Hello\r\n.\r\nSTARTTLS\r\nQUIT\r\n";
        let output = run(&mut command, input.as_bytes());
        let answers = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected = "503 EHLO first\r\n250-hello\r\n250-8BITMIME\r\n250 SIZE 1048576\r\n\
                        250 sender\r\n250 recipient\r\n354 the letter, and a dot\r\n\
                        250 delivered\r\n503 encrypted already\r\n221 bye\r\n";
        assert!(answers.ends_with(expected), "{}", said(&output));
    }
    assert_eq!(letters(&files), ["Return-Path: <ann>\nDelivered-To: bob\nHello\n"; 2]);
}

#[test]
fn gnutls_cli_says_hello_over_starttls() {
    if !has_tool("gnutls-cli", "gnutls-bin") {
        return;
    }
    let files = Files::new();
    let (_server, address) = start(&files, PLAIN);
    let mut command = files.command("gnutls-cli");
    command.args(["--starttls-proto=smtp", "--x509cafile", "authority.pem", "--logfile", "log"]);
    command.args(["-p", &address.port().to_string(), "--verify-hostname=localhost", "127.0.0.1"]);
    let output = run(&mut command, b"RSET\nEHLO me\nQUIT\n");
    let answers = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = "250 nothing to forget\r\n250-hello\r\n250-8BITMIME\r\n250 SIZE 1048576\r\n\
                    221 bye\r\n";
    assert!(answers.ends_with(expected), "{}", said(&output));
}

/// Sends two letters over STARTTLS to the first port, and one to the second, which encrypts from
/// the beginning.
const SMTPLIB: &str = r#"
import smtplib, ssl, sys
context = ssl.create_default_context(cafile="authority.pem")
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=60) as server:
    server.ehlo()
    assert server.has_extn("starttls")
    server.starttls(context=context)
    server.ehlo()
    assert not server.has_extn("starttls")
    for text in "Subject: 1\r\n\r\n.dot\r\n", "Subject: 2\r\n\r\n" + "x" * 900 + "\r\n":
        server.sendmail("ann@example.test", ["bob@example.test", "cat@example.test"], text)
    try:
        server.sendmail("ann@example.test", ["bob@example.test"], "y" * (2 << 20))
    except smtplib.SMTPSenderRefused as refused:
        print(refused.smtp_code)
with smtplib.SMTP_SSL("127.0.0.1", int(sys.argv[2]), timeout=60, context=context) as server:
    server.sendmail("ann@example.test", ["bob@example.test"], "Subject: 3\r\n\r\n")
"#;

#[test]
fn smtplib_sends_letters() {
    if !has_tool("python3", "python3") {
        return;
    }
    let files = Files::new();
    let (_server, address) = start(&files, PLAIN);
    let encrypted = "ssl:0:interface=127.0.0.1:certKey=rsa.pem:privateKey=rsa-key.pem";
    let (_encrypted, other) = start(&files, encrypted);
    let mut command = files.command("python3");
    command.args(["-c", SMTPLIB, &address.port().to_string(), &other.port().to_string()]);
    let output = run(&mut command, b"");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "552\n");
    let letters = letters(&files);
    let head = "Return-Path: <ann@example.test>\nDelivered-To: bob@example.test\n";
    let both = format!("{head}Delivered-To: cat@example.test\n");
    let mut expected = [
        format!("{both}Subject: 1\n\n.dot\n"),
        format!("{both}Subject: 2\n\n{}\n", "x".repeat(900)),
        format!("{head}Subject: 3\n\n"),
    ];
    expected.sort();
    let mut found = letters;
    found.sort();
    assert_eq!(found, expected);
}

/// A command that somebody on the way has put behind STARTTLS is not the client's.
#[test]
fn a_command_behind_starttls_ends_the_connection() {
    let files = Files::new();
    let (server, address) = start(&files, PLAIN);
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    client.write_all(b"EHLO me\r\nSTARTTLS\r\nMAIL FROM:<mallory>\r\n").unwrap();
    let mut answers = Vec::new();
    let start = Instant::now();
    // It may be a reset.
    let _ = client.read_to_end(&mut answers);
    assert!(start.elapsed() < TIMEOUT);
    let answers = String::from_utf8_lossy(&answers);
    assert!(!answers.contains("sender"), "{answers}");
    server.signal(interrupt());
    let (status, said) = server.wait();
    assert!(status.success() && said.contains("bytes that are not encrypted follow"), "{said}");
}
