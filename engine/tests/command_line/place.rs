//! A home and a shipped tree for a test, and the program on them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");

/// A small shipped tree and a home beside it.
pub struct Place(pub tempfile::TempDir);

impl Place {
    pub fn new() -> Place {
        let place = Place(tempfile::tempdir().expect("a folder"));
        place.put(
            "tree/policies/hello.policy",
            "/// Says hello.\nservice \"Hello\" at \"/hello\" methods GET {\n    include \"Greeting\"\n    Respond(body: \"${word}\")\n}\n",
        );
        place.put(
            "tree/policies/tool.policy",
            "/// Greets from the command line.\ncommand \"tool greet\" (\n    /// Whom.\n    in full_name,\n    in loud: boolean = false,\n    in word = \"hello\",\n    out line\n) fails with error {\n    if ${full_name} == \"nobody\" { fail \"nobody is not greeted\" }\n    set line = \"${word} ${full_name}\"\n    if ${loud} { set line = upper(${line}) }\n}\n",
        );
        place.put(
            "tree/fragments/greeting.policy",
            "fragment \"Greeting\" {\n    set word = \"hello\"\n    include \"#Greeting\"\n}\n",
        );
        place.put("tree/customizations/#greeting.policy", "// customize \"Greeting\" {\n//     set word = \"hi\"\n// }\n");
        place.put("tree/policies/gateway.welcome.txt", "try: curl {http}/hello\n");
        place.put("tree/policies/gateway.samples.txt", "a sample at {https}\n");
        place.put("tree/policies/gateway.first-client.txt", "make a client at {https}\n");
        place
    }

    pub fn put(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    pub fn home(&self) -> std::path::PathBuf {
        self.0.path().join("home")
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).current_dir(self.0.path());
        command
            .env_remove("PORTCULLIS_LOG")
            .env("PORTCULLIS_HOME", self.home())
            .env("PORTCULLIS_SHIPPED", self.0.path().join("tree"));
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("it starts")
    }

    /// Runs, and gives exit code, standard output and standard error.
    pub fn said(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.run(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    pub fn serve(&self) -> Serving {
        let mut child = self
            .command(&["serve", "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.0.path().join("log")).expect("a file"))
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let (https, http) = (line(), line());
        assert!(https.starts_with("listening https://127.0.0.1:"), "{https}");
        let address = http.strip_prefix("listening http://").expect(&http).to_owned();
        Serving { child, address }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.0.path().join("log")).unwrap_or_default()
    }
}

pub struct Serving {
    pub child: Child,
    pub address: String,
}

impl Serving {
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer.split_once("\r\n\r\n").map_or(answer.clone(), |(_, body)| body.to_owned())
    }

    pub fn terminate(mut self) -> i32 {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill exists");
        assert!(killed.success());
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

pub fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap_or_default()
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
