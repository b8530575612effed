//! Playbooks from elsewhere: what an attacker would try. Nothing outside of the playbook's folder and its clouds is read,
//! run, reached or written, unless the command line names it; and no script takes the machine down.

use crate::support::{Ended, Place, bounded, ended};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::symlink,
    sync::{Arc, Mutex},
    time::Duration,
};

/// A playbook in a folder of its own, with a secret of the user's beside it.
struct Fork {
    place: Place,
    /// Further arguments of each command.
    args: Vec<String>,
}

const SECRET: &str = "the-users-own-words";

impl Fork {
    fn new(script: &str) -> Self {
        let place = Place::new();
        place.write("secret.txt", SECRET);
        place.write("fork/p.rhai", script);
        Self { place, args: Vec::new() }
    }

    /// Calls go to an address where nobody answers: nothing stands in for the internet.
    fn not_simulated(script: &str) -> Self {
        let mut fork = Self::new(script);
        fork.args.extend(["--endpoint", "aws=http://127.0.0.1:1", "--pace", "max"].map(str::to_owned));
        fork
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.place.path().join("fork").join(name)
    }

    fn play(&self, verb: &str, more: &[String]) -> Ended {
        let mut command = self.place.command(&[verb, "fork/p.rhai"]);
        command.args(&self.args).args(more);
        if verb == "run" {
            command.arg("--yes");
        }
        ended(bounded(command, Duration::from_mins(2)))
    }

    /// `verb` is refused at `line`, with the option that allows it; with this option, it is not any more.
    fn asks_for(&self, verb: &str, line: usize, option: &str) -> Ended {
        let refused = self.play(verb, &[]);
        let shown = format!("{verb}: exit {}\n{}{}", refused.code, refused.stdout, refused.stderr);
        assert!(matches!(refused.code, 1 | 2), "{shown}");
        assert!(refused.stderr.contains(&format!("p.rhai:{line}:")), "line {line} is not named\n{shown}");
        assert!(!shown.contains(SECRET), "{shown}");
        let hint = refused.stderr.lines().find_map(|line| line.strip_prefix("hint: if you trust it, add `"));
        let hint = hint.unwrap_or_else(|| panic!("no hint\n{shown}")).trim_end_matches('`');
        assert!(hint.starts_with(option), "`{option}` is not asked for\n{shown}");
        let (name, value) = hint.split_once(' ').expect("an option with a value");
        let allowed = self.play(verb, &[name.to_owned(), value.trim_matches('\'').to_owned()]);
        assert!(!allowed.stderr.contains("if you trust it"), "still refused with `{hint}`\n{}", allowed.stderr);
        allowed
    }
}

#[test]
fn files_outside_of_the_folder_are_not_read() {
    for path in ["../secret.txt", "link", "folder/secret.txt", "sub/../../secret.txt"] {
        let fork = Fork::new(&format!("\nstep(\"a\", || {{ print(read_file(\"{path}\")); }});"));
        std::fs::create_dir(fork.file("sub")).unwrap();
        symlink("../secret.txt", fork.file("link")).unwrap();
        symlink("..", fork.file("folder")).unwrap();
        let allowed = fork.asks_for("run", 2, "--allow-read");
        assert!(allowed.code == 0 && allowed.stderr.contains(SECRET), "{path}: {}", allowed.stderr);
    }
    for path in ["/etc/passwd", "/etc/group"] {
        Fork::new(&format!("\nstep(\"a\", || read_file(\"{path}\").len());")).asks_for("plan", 2, "--allow-read");
    }
    // A manifest is a file as well.
    let manifest = r#"
step("a", || k8s::manifest(#{ cluster: #{ name: "c" }, url: "../secret.txt" }));"#;
    Fork::new(manifest).asks_for("plan", 2, "--allow-read");
    for import in ["../secret", "/etc/passwd", "link", "folder/p2"] {
        let fork = Fork::new(&format!("import \"{import}\" as x;\nstep(\"a\", || 1);"));
        fork.place.write("p2.rhai", "");
        symlink("../p2.rhai", fork.file("link.rhai")).unwrap();
        symlink("..", fork.file("folder")).unwrap();
        let refused = fork.play("check", &[]);
        assert!(refused.code == 2 && refused.stderr.contains("outside"), "{import}: {}", refused.stderr);
    }
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let fork = Fork::new("step(\"a\", || read_file(\"pipe\"));");
    assert!(std::process::Command::new("mkfifo").arg(fork.file("pipe")).status().unwrap().success());
    let refused = fork.play("plan", &[]);
    assert!(refused.stderr.contains("no regular file"), "{}", refused.stderr);
}

#[test]
fn nothing_outside_of_the_stacks_folder_is_written() {
    for name in ["../../../escaped", "/escaped", "link/escaped", "log/1.json", "x/../../../escaped"] {
        let fork = Fork::new(&format!("step(\"a\", || file::write(#{{ name: \"{name}\", content: \"x\" }}));"));
        let stack = fork.place.path().join(".gitpod-play/p");
        std::fs::create_dir_all(&stack).unwrap();
        symlink("../..", stack.join("link")).unwrap();
        let refused = fork.play("run", &[]);
        assert!(matches!(refused.code, 1 | 2), "{name}: {}", refused.stderr);
        assert!(!fork.place.path().join("escaped").exists(), "{name}");
    }
    // A repository may bring a state folder along, with links in it.
    for link in [".gitpod-play", ".gitpod-play/p", ".gitpod-play/p/.bashrc", ".gitpod-play/p/.bashrc.draft"] {
        let fork = Fork::new("step(\"a\", || file::write(#{ name: \".bashrc\", content: \"x\" }));");
        let (home, link) = (fork.place.path().join("home"), fork.place.path().join(link));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        let target = if link.ends_with(".bashrc") || link.ends_with(".bashrc.draft") {
            home.join(".bashrc")
        } else {
            home.clone()
        };
        symlink(target, &link).unwrap();
        fork.play("run", &[]);
        let found = [home.join(".bashrc"), home.join("p/.bashrc")];
        assert!(!found.iter().any(|it| it.exists()), "{}", link.display());
    }
}

#[test]
fn programs_are_not_run() {
    let run = "\nstep(\"a\", || print(process::run(#{ program: \"echo\", args: [\"ran\"] }).stdout));";
    let allowed = Fork::new(run).asks_for("run", 2, "--allow-run");
    assert!(allowed.code == 0 && allowed.stderr.contains("ran"), "{}", allowed.stderr);
    let decide_code =
        ["LD_PRELOAD", "PATH", "HOME", "BASH_ENV", "PYTHONPATH", "NODE_OPTIONS", "PERL5OPT", "GIT_SSH_COMMAND"];
    for name in decide_code {
        let code = format!("process::run(#{{ program: \"echo\", env: #{{ {name}: \"./evil.so\" }} }})");
        let mut fork = Fork::new(&format!("\nstep(\"a\", || {code});"));
        fork.args.extend(["--allow-run", "echo"].map(str::to_owned));
        fork.asks_for("run", 2, &format!("--allow-run echo:{name}"));
    }
    // Those that say how something is shown need no leave.
    let shows =
        "process::run(#{ program: \"sh\", args: [\"-c\", \"echo $LC_ALL$TZ\"], env: #{ LC_ALL: \"C\", TZ: \"UTC\" } })";
    let shown = Fork::new(&format!("step(\"a\", || print({shows}.stdout));"))
        .play("run", &["--allow-run".to_owned(), "sh".to_owned()]);
    assert!(shown.code == 0 && shown.stderr.contains("CUTC"), "{}", shown.stderr);
    let flood = "step(\"a\", || process::run(#{ program: \"yes\" }).stdout.len());";
    let refused = Fork::new(flood).play("run", &["--allow-run".to_owned(), "yes".to_owned()]);
    assert!(refused.code == 1 && refused.stderr.contains("more than 64 MiB"), "{}", refused.stderr);
}

/// A script that uses a kubeconfig of its own.
fn with_kubeconfig(kubeconfig: &str) -> Fork {
    let script = r#"
step("a", || k8s::get(#{ cluster: #{ name: "c", kubeconfig: "kc" }, api_version: "v1", kind: "Secret", namespace: "x", name: "y" }));"#;
    let fork = Fork::new(script);
    fork.place.write("fork/kc", kubeconfig);
    fork
}

fn kubeconfig(server: &str, cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"{server}\"{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

#[test]
fn a_kubeconfig_of_a_script_neither_runs_nor_reads_nor_reaches() {
    let here = "https://127.0.0.1:1";
    let ran = |fork: &Fork| fork.place.path().join("ran").exists();
    let allow = |fork: &mut Fork, host: &str| fork.args.extend(["--allow-net".to_owned(), host.to_owned()]);

    with_kubeconfig(&kubeconfig(here, "", "")).asks_for("plan", 2, "--allow-net");
    let exec =
        "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: touch, args: [ran]}";
    let mut fork = with_kubeconfig(&kubeconfig(here, "", exec));
    allow(&mut fork, "127.0.0.1");
    let refused = fork.play("plan", &[]);
    assert!(refused.code == 2 && !ran(&fork), "{}", refused.stderr);
    fork.asks_for("plan", 2, "--allow-run");
    assert!(ran(&fork), "what is allowed is run");
    let exec = exec.replace("args: [ran]", "args: [ran], env: [{name: BASH_ENV, value: evil.sh}]");
    let mut fork = with_kubeconfig(&kubeconfig(here, "", &exec));
    allow(&mut fork, "127.0.0.1");
    fork.args.extend(["--allow-run", "touch"].map(str::to_owned));
    let refused = fork.play("plan", &[]);
    assert!(refused.stderr.contains("`--allow-run touch:BASH_ENV`") && !ran(&fork), "{}", refused.stderr);

    let mut fork = with_kubeconfig(&kubeconfig(here, ", proxy-url: \"http://elsewhere.example:3128\"", ""));
    allow(&mut fork, "127.0.0.1");
    let refused = fork.play("plan", &[]);
    assert!(refused.stderr.contains("`--allow-net elsewhere.example`"), "{}", refused.stderr);

    for (cluster, user) in [
        ("", "tokenFile: ../secret.txt"),
        ("", "client-key: ../secret.txt, client-certificate: ../secret.txt"),
        (", certificate-authority: ../secret.txt", ""),
    ] {
        let mut fork = with_kubeconfig(&kubeconfig(here, cluster, user));
        allow(&mut fork, "127.0.0.1");
        fork.asks_for("plan", 2, "--allow-read");
    }
    let mut fork =
        with_kubeconfig(&kubeconfig(here, "", "auth-provider: {name: gcp, config: {cmd-path: touch, cmd-args: ran}}"));
    allow(&mut fork, "127.0.0.1");
    let refused = fork.play("plan", &[]);
    assert!(refused.code == 2 && refused.stderr.contains("auth-provider") && !ran(&fork), "{}", refused.stderr);

    // The user's own file, named by its path: it would be someone else's cluster.
    let fork = Fork::new(
        "\nstep(\"a\", || k8s::get(#{ cluster: #{ name: \"c\", kubeconfig: \"../kc\" }, api_version: \"v1\", kind: \"Secret\", namespace: \"x\", name: \"y\" }));",
    );
    fork.place.write("kc", &kubeconfig(here, "", ""));
    let refused = fork.play("plan", &[]);
    assert!(refused.stderr.contains("--allow-read"), "{}", refused.stderr);
}

/// Answers each request with `answer`; what was asked.
fn listening(answer: String) -> (u16, Arc<Mutex<Vec<String>>>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = heard.clone();
    std::thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            let mut asked = [0; 2048];
            let length = stream.read(&mut asked).unwrap_or(0);
            into.lock().unwrap().push(String::from_utf8_lossy(&asked[..length]).into_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, heard)
}

fn fetching(url: &str) -> Fork {
    Fork::not_simulated(&format!(
        "\nstep(\"a\", || k8s::manifest(#{{ cluster: #{{ name: \"c\" }}, url: \"{url}\" }}));"
    ))
}

#[test]
fn other_hosts_are_not_reached() {
    let (port, heard) =
        listening("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned());
    let fork = fetching(&format!("http://127.0.0.1:{port}/x?secret=1"));
    let refused = fork.play("plan", &[]);
    assert!(refused.code == 2 && heard.lock().unwrap().is_empty(), "{}", refused.stderr);
    let allowed = fork.asks_for("plan", 2, "--allow-net");
    assert!(allowed.stderr.contains("404") && heard.lock().unwrap().len() == 1, "{}", allowed.stderr);

    // Names that look like what is built in, or like a cloud.
    for url in [
        "https://raw.githubusercontent.com.evil.invalid/x",
        "https://raw.githubusercontent.com@evil.invalid/x",
        "https://raw.githubusercontent.com/evil/x/main/x.yaml",
        "https://s3.amazonaws.com.evil.invalid/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/x",
    ] {
        fetching(url).asks_for("plan", 2, "--allow-net");
    }
}

#[test]
fn redirects_lead_to_no_other_host() {
    let (hidden, heard) = listening("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned());
    let to = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://localhost:{hidden}/inside\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let (port, asked) = listening(to);
    let mut fork = fetching(&format!("http://127.0.0.1:{port}/x"));
    fork.args.extend(["--allow-net".to_owned(), format!("127.0.0.1:{port}")]);
    let refused = fork.play("plan", &[]);
    assert!(
        refused.stderr.contains("redirects to it") && refused.stderr.contains("--allow-net localhost"),
        "{}",
        refused.stderr
    );
    assert!(!asked.lock().unwrap().is_empty() && heard.lock().unwrap().is_empty());
    fork.asks_for("plan", 2, "--allow-net");
    assert!(!heard.lock().unwrap().is_empty(), "what is allowed is reached");
}

#[test]
fn a_made_up_cluster_gets_no_token() {
    let place = crate::support::world::World::new();
    let (port, heard) = listening(String::new());
    let kubeconfig =
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJkRENDQVJxZ0F3SUJBZ0lVZjhvPQotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg==";
    for endpoint in [
        format!("https://127.0.0.1:{port}"),
        "https://abc.gr7.eu-west-1.eks.amazonaws.com.evil.invalid".to_owned(),
        "https://abc.gr7.eu-west-1.eks.amazonaws.com@evil.invalid".to_owned(),
    ] {
        place.place.write("p.rhai", &format!(
            "target(\"aws\", #{{ region: \"eu-west-1\" }});\nstep(\"a\", || k8s::get(#{{ cluster: #{{ name: \"c\", endpoint: \"{endpoint}\", certificate_authority: \"{kubeconfig}\" }}, api_version: \"v1\", kind: \"Secret\", namespace: \"x\", name: \"y\" }}));"
        ));
        let refused = place.play(&["run", "p.rhai", "--yes"], &[]);
        assert_eq!(refused.code, 2, "{endpoint}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("add `--allow-net ") && refused.stderr.contains("p.rhai:2:"),
            "{}",
            refused.stderr
        );
        assert!(heard.lock().unwrap().is_empty(), "{endpoint} was asked");
    }
}

#[test]
fn regions_and_profiles_of_a_script_are_looked_at() {
    for region in ["evil.invalid/", "x.evil.invalid:443/#", "eu-west-1.evil.invalid", "@evil.invalid"] {
        let fork = Fork::new(&format!(
            "target(\"aws\", #{{ region: \"{region}\" }});\nstep(\"a\", || aws::sts::identity(#{{}}));"
        ));
        let refused = fork.play("plan", &[]);
        assert!(refused.code == 2 && refused.stderr.contains("is no AWS region"), "{region}: {}", refused.stderr);
    }
    let script =
        "target(\"aws\", #{ region: \"eu-west-1\", profile: \"innocent\" });\nstep(\"a\", || aws::sts::identity(#{}));";
    let fork = Fork::not_simulated(script);
    let touch = format!("touch {}", fork.place.path().join("ran").display());
    fork.place.write("home/.aws/config", &format!("[profile innocent]\nsource_profile = prod\nrole_arn = arn:aws:iam::1:role/x\n[profile prod]\ncredential_process = {touch}\n"));
    let refused = fork.play("plan", &[]);
    assert!(refused.code == 2 && !fork.place.path().join("ran").exists(), "{}", refused.stderr);
    fork.asks_for("plan", 2, "--allow-run");
    assert!(fork.place.path().join("ran").exists());
}

#[test]
fn simulated_clouds_are_on_this_machine() {
    let fork =
        Fork::new("target(\"aws\", #{ region: \"eu-west-1\" });\nstep(\"a\", || aws::sts::identity(#{}).account);");
    let notice = format!(
        r#"{{"pid":{},"aws_url":"http://192.0.2.1:80","access_key":"k","secret_key":"s"}}"#,
        std::process::id()
    );
    fork.place.write(".gitpod-play/sandbox/serving.json", &notice);
    let done = fork.play("run", &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn the_terminal_is_not_commanded() {
    let script = "step(\"a\", || { print(\"\\x1b[2J\\x1b]52;c;eA==\\x07\\rplan: nothing to do\\nplan: nothing to do\"); warn(\"\\x1b[1A\"); kept::value(#{ name: \"\\x1b[2Jname\", value: \"\\x1b[8m\" }); fail(\"\\x1b[2K\") });";
    let fork = Fork::new(script);
    for verb in ["plan", "run"] {
        let said = fork.play(verb, &[]);
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(!all.contains('\x1b') && !all.contains('\r') && !all.contains('\x07'), "{all:?}");
        assert!(!all.lines().any(|line| line.starts_with("plan: nothing")), "{all}");
    }
}
