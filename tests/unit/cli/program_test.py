# SPDX-License-Identifier: LGPL-2.1-or-later
"""The program as a whole, over the connection that lives in memory: help, man page, completion,
JSON, locale, exit statuses, scripts on stdin. CISTERN_FAKE names the program, SOURCE the tree."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from pseudo_terminal import at_terminal

PROGRAM = os.environ["CISTERN_FAKE"]
SOURCE = os.environ["SOURCE"]
GROUPS = ("pool", "volume", "image", "secret", "host", "cistern")
# Domains, networks and the console's escape are not ours.
NOT_OURS = {"host": "allocpages cpu-baseline cpu-compare cpu-models domcapabilities freecell "
                    "freepages hypervisor-cpu-baseline hypervisor-cpu-compare maxvcpus "
                    "node-memory-tune nodecpumap nodecpustats nodeinfo nodememstats nodesevinfo "
                    "nodesuspend sysinfo".split()}


def creatable():
    """The formats that images can be created in, as the table of formats has them."""
    return run("complete", "--", "vol-create-as", "--format", "")[1].split()


def run(*words, stdin="", program=PROGRAM, **env):
    done = subprocess.run([program, *words], input=stdin, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30, check=False,
                          env={**os.environ, "LC_ALL": "C", "TERM": "dumb", "CISTERN_CONFIG": "", **env})
    return done.returncode, done.stdout, done.stderr


def virsh(*words):
    return run(*words, program="virsh")[1]


def ours():
    """Every command by name, as help --json tells it."""
    groups = json.loads(run("help", "--json")[1])["groups"]
    return {c["name"]: c for group in groups for c in group["commands"]}


class Help(unittest.TestCase):
    def test_every_command_renders_and_lists_its_options(self):
        for name, command in ours().items():
            with self.subTest(command=name):
                status, out, err = run("help", name)
                self.assertEqual((0, ""), (status, err))
                self.assertTrue(out.startswith(f"  NAME\n    {name} - {command['summary']}\n"))
                for option in command["options"]:
                    self.assertRegex(out, rf"(--|<){re.escape(option['name'])}\b")
                self.assertEqual(out, run(name, "--help")[1])

    def test_json_has_the_argument_of_each_option(self):
        options = {o["name"]: o for o in ours()["vol-rebase"]["options"]}
        facts = {name: [options[name].get(k) for k in ("kind", "letter", "required", "positional")]
                 for name in ("vol", "backing-vol", "unsafe")}
        self.assertEqual({"vol": ["string", None, True, True],
                          "backing-vol": ["string", "b", True, False],
                          "unsafe": ["switch", "u", False, False]}, facts)

    def test_groups_and_unknown_names(self):
        for group in GROUPS:
            self.assertIn(f"(help keyword '{group}'):\n", run("help", group)[1])
        status, out, err = run("help", "nosuch")
        self.assertEqual((2, "\n"), (status, out))
        self.assertEqual("error: command or command group 'nosuch' doesn't exist\n", err)
        everything = run("help")[1]
        self.assertEqual("Grouped commands:\n\n" + "".join(
            run("help", group)[1] for group in re.findall(r"keyword '(\w+)'", everything)) +
            "\n", everything)
        self.assertIn("pool-list ", everything)
        self.assertNotIn("gen-man", everything)

    def test_two_words_find_help_too(self):
        self.assertEqual(run("help", "pool-list"), run("pool", "list", "--help"))

    def test_listed_formats_can_be_created(self):
        formats = creatable()
        self.assertIn(f"    --format <string>  file format type {','.join(formats)}\n",
                      run("help", "vol-create-as")[1])
        self.assertLessEqual({"raw", "qcow2", "vdi", "vmdk", "vpc", "vhdx"}, set(formats))
        self.assertNotIn("bochs", formats)

    def test_usage_names_every_global_option(self):
        out = run("--help")[1]
        for option in ("--connect=URI", "--root=DIR", "--json", "--dry-run", "--yes", "--color"):
            self.assertIn(option, out)


# What virsh requires and we don't.
OUR_HELP = {"vol-clone": (("<newname>", "[--newname <string>]"),
                          ("[--newname] <string>", "--newname <string>")),
            "vol-list": (("<pool>", "[--pool <string>]"), ("[--pool] <string>", "--pool <string>"),
                         ("pool name or uuid", "pool name or uuid; default: all active pools")),
            "vol-resize": (("This is safe only for storage volumes not in use by an active guest.\n"
                            "See blockresize for live resizing.",
                            "If a running domain has it as a disk, the disk grows with it. After an "
                            "interruption, vol-resize to the size that the error names finishes the "
                            "work. A volume that is open does not shrink."),)}


@unittest.skipUnless(shutil.which("virsh"), "virsh is not installed")
class SameAsVirsh(unittest.TestCase):
    """What virsh has, we have: commands, options, and every line of its help."""

    maxDiff = None

    def commands(self):
        mine = ours()
        for group in ("pool", "volume", "secret", "host", "virsh"):
            for line in virsh("help", group).splitlines()[1:]:
                name = line.split()[0] if line.strip() else ""
                if name and name not in NOT_OURS.get(group, ()):
                    yield name, mine

    def test_every_command_and_option(self):
        seen = 0
        for name, mine in self.commands():
            with self.subTest(command=name):
                self.assertIn(name, mine)
                known = {option["name"] for option in mine[name]["options"]}
                text = virsh("help", name).partition("  OPTIONS\n")[2]
                options = set(re.findall(r"^    (?:\[?--|<)([\w-]+)", text, re.M))
                self.assertLessEqual(options, known)
                seen += 1
        self.assertGreater(seen, 50)

    def test_help_begins_with_virsh_s(self):
        """
        Options that we add stand among virsh's, but never where a plain word would fill them, unless
        that is a word that virsh has no use for.
        """
        for name, mine in self.commands():
            with self.subTest(command=name):
                # Its list of formats has what can't be created and lacks what can.
                theirs = virsh("help", name).rstrip("\n").replace(
                    "raw,bochs,qcow,qcow2,qed,vmdk", ",".join(creatable()))
                for text, ours_is in OUR_HELP.get(name, ()):
                    self.assertIn(text, theirs)
                    theirs = theirs.replace(text, ours_is)
                text = run("help", name)[1]
                for option in mine[name]["options"]:
                    if re.search(rf"--{option['name']}\b(?!-)", theirs) or name == "echo":
                        continue
                    usage = rf"--{option['name']}\b(?: <\w+>)?"
                    if option["kind"] == "words":
                        text = re.sub(rf" \[\[--{option['name']}\] <\w+>\]\.\.\.", "", text)
                        usage = rf"\[--{option['name']}\] <\w+>"
                    else:
                        self.assertFalse(option["positional"], option["name"])
                    text = re.sub(rf" \[{usage}\]|^    {usage}  .*\n", "", text, flags=re.M)
                self.assertEqual(theirs, text[:len(theirs)])


class Man(unittest.TestCase):
    def setUp(self):
        template = os.path.join(SOURCE, "docs/man/cistern.1.scd.in")
        status, self.page, err = run("gen-man", template)
        self.assertEqual((0, ""), (status, err))

    def test_every_command_option_and_status_is_in_it(self):
        plain = self.page.replace("\\", "")
        for name, command in ours().items():
            self.assertIn(f"*{name}*", plain)
            for option in command["options"]:
                self.assertIn(option["name"], plain)
        for status in (0, 1, 2, 3, 4, 5, 6, 7, 8, 75):
            self.assertIn(f"*{status}*\n", plain)
        self.assertNotIn("@", re.sub(r"a@b", "", plain))

    @unittest.skipUnless(shutil.which("scdoc"), "scdoc is not installed")
    def test_scdoc_takes_all_pages(self):
        with open(os.path.join(SOURCE, "docs/man/cisternd.8.scd"), encoding="utf-8") as page:
            pages = [self.page, page.read()]
        for page in pages:
            done = subprocess.run(["scdoc"], input=page, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, check=False)
            self.assertEqual((0, ""), (done.returncode, done.stderr))
            self.assertIn(".TH", done.stdout)


class Completion(unittest.TestCase):
    def words(self, *typed):
        return run("complete", "--", *typed)[1].split()

    def test_commands_in_one_word_and_in_two(self):
        self.assertEqual(["pool-list"], self.words("pool-lis"))
        self.assertIn("list", self.words("pool", ""))
        self.assertEqual([], self.words("nosuch-"))

    def test_live_names_fit_the_command(self):
        self.assertEqual(["images", "backup"],
                         [w for w in self.words("pool-info", "") if not w.startswith("-")])
        self.assertEqual(["backup"],
                         [w for w in self.words("pool-start", "") if not w.startswith("-")])
        self.assertEqual(["images"], self.words("pool", "destroy", "im"))
        self.assertEqual(["images", "backup"], self.words("-c", "x:///", "pool-info", "--pool", ""))

    def test_options_and_values(self):
        self.assertEqual(["--build"], self.words("pool-start", "backup", "--b")[:1])
        self.assertNotIn("--build", self.words("pool-start", "backup", "--build", "--"))
        self.assertEqual(["dir,zfs"], self.words("pool-list", "--type", "dir,z"))
        self.assertEqual(["lifecycle", "refresh"], self.words("pool-event", "--event", ""))
        self.assertEqual(["--root"], self.words("--roo"))
        self.assertIn("--json", self.words("pool-list", "--j"))
        self.assertEqual([], self.words("pool-info", "--", "--"))
        # A word alone is never the format, which has to be named.
        self.assertTrue(all(word.startswith("-") for word in self.words("vol-convert", "v", "w", "")))

    def test_descriptions_on_request(self):
        self.assertEqual("pool-list\tlist pools\n", run("complete", "--describe", "--",
                                                        "pool-lis")[1])

    def test_status_says_whether_a_file_is_meant(self):
        for words in (["zzz"], ["vol-info", "zz"], ["vol-info", "--pool", "zz"], ["pool-info", "zz"],
                      ["vol-clone", "v", "new"], ["pool-list", "--zz"], ["vol-info", "v", "zz"]):
            self.assertEqual((0, "", ""), run("complete", "--", *words), words)
        for words in (["pool-define", "zz"], ["vol-upload", "v", "zz"], ["image-info", "zz"],
                      ["pool-define-as", "n", "dir", "--target", "zz"], ["--root", "zz"],
                      ["pool-list", "--root", "zz"]):
            self.assertEqual((1, "", ""), run("complete", "--", *words), words)

    @unittest.skipUnless(shutil.which("bash"), "bash is not installed")
    def test_bash_script_asks_the_program(self):
        script = os.path.join(SOURCE, "completions/cistern.bash")
        probe = f"""source {script}
            COMP_WORDS=({PROGRAM} pool-start ba); COMP_CWORD=2; _cistern
            printf '%s\\n' "${{COMPREPLY[@]}}" """
        out = subprocess.run(["bash", "--norc", "-c", probe], text=True, stdout=subprocess.PIPE,
                             check=True).stdout
        self.assertEqual("backup\n", out)

    @unittest.skipUnless(shutil.which("bash"), "bash is not installed")
    def test_bash_offers_files_only_where_a_file_is_meant(self):
        script = os.path.join(SOURCE, "completions/cistern.bash")
        with tempfile.TemporaryDirectory() as where:
            for name in ("disk.img", "pool.xml"):
                open(os.path.join(where, name), "w", encoding="ascii").close()
            for program, words, files in ((PROGRAM, "vol-info di", False),
                                          (PROGRAM, "vol-info --pool pool.", False),
                                          (PROGRAM, "pool-define pool.", True),
                                          ("/nonexistent/cistern", "pool-define pool.", False)):
                probe = f"""source {script}
                    compopt() {{ echo "compopt $*"; }}
                    COMP_WORDS=({program} {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _cistern
                    printf '%s\\n' "${{COMPREPLY[@]}}"
                    complete -p cistern"""
                out = subprocess.run(["bash", "--norc", "-c", probe], text=True, cwd=where,
                                     stdout=subprocess.PIPE, check=True).stdout
                self.assertEqual(files, "compopt -o default" in out, words)
                self.assertTrue(out.endswith("complete -F _cistern cistern\n"), out)


class Suggestions(unittest.TestCase):
    def test_of_commands_options_and_help(self):
        for words, message in (
                (["pool-lst"], "unknown command: 'pool-lst'; did you mean 'pool-list'?"),
                (["pool", "lst"], "unknown command: 'pool'; did you mean 'pool-list'?"),
                (["vol-inof", "x"], "unknown command: 'vol-inof'; did you mean 'vol-info'?"),
                (["nosuch"], "unknown command: 'nosuch'"),
                (["pool-list", "--dteails"], "command 'pool-list' doesn't support option --dteails; "
                                             "did you mean --details?"),
                (["pool-list", "--jsno"],
                 "command 'pool-list' doesn't support option --jsno; did you mean --json?"),
                (["pool-list", "--colour"],
                 "command 'pool-list' doesn't support option --colour"),
                (["help", "pool-lst"], "command or command group 'pool-lst' doesn't exist; "
                                       "did you mean 'pool-list'?")):
            with self.subTest(words=words):
                status, _, err = run(*words)
                self.assertEqual((2, f"error: {message}\n"), (status, err))

    def test_of_pools_in_json(self):
        error = json.loads(run("pool-info", "imgaes", "--json")[2])["error"]
        self.assertEqual(("no-pool", "did you mean 'images'?"), (error["code"], error["hint"]))


class AfterTheCommand(unittest.TestCase):
    """Options of the program work behind the command, too."""

    def test_quiet_and_help(self):
        self.assertEqual(run("-q", "pool-list"), run("pool-list", "-q"))
        self.assertEqual(run("-q", "pool-list"), run("pool-list", "--quiet"))
        self.assertNotEqual(run("pool-list"), run("pool-list", "-q"))
        done = run("pool-refresh", "images")
        self.assertEqual((0, "Pool images refreshed"), (done[0], done[1].strip()))
        self.assertEqual((0, "", ""), run("pool-refresh", "images", "-q"))
        self.assertEqual("Pool images refreshed",
                         json.loads(run("-q", "--json", "pool-refresh", "images")[1])["message"])
        self.assertEqual(run("help", "pool-list"), run("pool-list", "-h"))
        self.assertEqual(run("pool-list", "--help"), run("pool-list", "-h"))

    def test_readonly_and_connect(self):
        status, _, err = run("pool-undefine", "backup", "--readonly")
        self.assertEqual(4, status)
        self.assertIn("operation forbidden", err)
        self.assertEqual(run("-c", "test:///x", "uri"), run("uri", "--connect", "test:///x"))
        self.assertEqual(run("-c", "test:///x", "uri"), run("uri", "-c", "test:///x"))

    def test_they_hold_for_one_command(self):
        out = run(stdin="pool-undefine backup --readonly\npool-undefine backup\n")
        self.assertEqual(1, out[2].count("operation forbidden"))
        self.assertIn("undefined", out[1])

    def test_words_to_echo_are_words(self):
        self.assertEqual("-q -h -c\n", run("echo", "-q", "-h", "-c")[1])


class Terminal(unittest.TestCase):
    def test_interrupt_clears_the_line_and_the_shell_goes_on(self):
        with tempfile.TemporaryDirectory() as home:
            status, seen = at_terminal(
                PROGRAM, "-q", until=["cistern ", "pool-destroy images", "^C", "here"],
                typed=["pool-destroy images", "\x03", "echo her''e\n", "quit\n"],
                env={"XDG_CACHE_HOME": home})
        self.assertEqual(0, status)
        self.assertIn("^C\r\n", seen)
        self.assertIn("\nhere", seen)
        self.assertNotIn("destroyed", seen)


class Json(unittest.TestCase):
    def test_results_are_one_object_on_one_line(self):
        for line in ("pool-list --all", "pool-list --details", "pool-list --name",
                     "pool-info images", "pool-uuid images", "pool-dumpxml images",
                     "pool-start backup", "pool-capabilities", "version", "uri", "hostname",
                     "capabilities", "pwd", "echo a", "help", "help pool", "help pool-list",
                     "pool-event --list", "pool-define-as n dir --print-xml",
                     "pool-start backup --dry-run", "find-storage-pool-sources-as netfs h"):
            with self.subTest(line=line):
                before = run("--json", *line.split())
                self.assertEqual((0, ""), (before[0], before[2]))
                self.assertEqual(1, before[1].count("\n"))
                self.assertEqual(1, json.loads(before[1])["schema"])
                self.assertEqual(before, run(*line.split(), "--json"))

    def test_members_have_underscores(self):
        def keys(value):
            if isinstance(value, dict):
                for key, item in value.items():
                    yield key
                    yield from keys(item)
            elif isinstance(value, list):
                for item in value:
                    yield from keys(item)
        with tempfile.TemporaryDirectory() as where:
            image = os.path.join(where, "i")
            run("image-create", "-f", "qcow2", image, "1M")
            run("image-snapshot", image, "--create", "s")
            for line in (f"image-info {image}", f"image-check {image}", f"image-map {image}",
                         f"image-snapshot {image}", "image-measure -O qcow2 --size 1M",
                         f"image-compare {image} {image}", f"image-sparsify {image}",
                         "pool-info images", "pool-list --details"):
                status, out, err = run(*line.split(), "--json")
                self.assertEqual(0, status, err)
                found = set(keys(json.loads(out)))
                self.assertGreater(len(found), 1)
                self.assertEqual([], sorted(key for key in found if "-" in key), line)

    def test_errors_are_objects_on_stderr(self):
        for words, code, status in ((("pool-info", "no"), "no-pool", 3),
                                    (("pool-info",), "usage", 2), (("nosuch",), "usage", 2),
                                    (("pool-start", "images"), "state", 5)):
            with self.subTest(words=words):
                got, out, err = run(*words, "--json")
                self.assertEqual((status, ""), (got, out))
                document = json.loads(err)
                self.assertEqual(1, document["schema"])
                self.assertEqual(code, document["error"]["code"])
                self.assertEqual(status, document["error"]["exit"])
                self.assertTrue(document["error"]["message"])

    def test_events_are_one_object_each(self):
        out = run("pool-event", "--event", "lifecycle", "--json")[1]
        self.assertEqual("Started", json.loads(out)["kind"])


class GlobalOptions(unittest.TestCase):
    def test_mistakes(self):
        for words, message in (
                (["-z"], "unsupported option '-z'. See --help."),
                (["--nosuch"], "unsupported option '--nosuch'. See --help."),
                (["-c"], "option '-c'/'--connect' requires an argument"),
                (["--root"], "option '--root' requires an argument"),
                (["-d", "x", "uri"], "option -d takes a numeric argument"),
                (["-k", "x", "uri"], "Invalid value for option -k"),
                (["--color=blue", "uri"],
                 "--color takes auto, always or never, not 'blue'")):
            with self.subTest(words=words):
                self.assertEqual((2, "", f"error: {message}\n"), run(*words))

    def test_virsh_s_spellings_are_accepted(self):
        for words in (["-q", "-k", "5", "-K", "6", "-l", "/dev/null", "-e", "^]", "uri"],
                      ["--quiet", "--no-pager", "--no-input", "--color=never", "uri"]):
            self.assertEqual((0, "storage:///system\n", ""), run(*words))

    def test_in_the_background_only_as_a_job(self):
        """A server without jobs of clients: work is done as ever, and not where nobody sees it."""
        with tempfile.TemporaryDirectory() as folder:
            image = os.path.join(folder, "image")
            with open(image, "wb") as out:
                out.write(os.urandom(100000))
            words = ["vol-import", image, "v", "--pool", "images", "--source-format", "raw"]
            self.assertEqual(0, run(*words)[0])
            status, out, err = run(*words, "--detach")
        self.assertEqual((1, ""), (status, out.strip()))
        self.assertIn("cannot run in the background, because the work must be listed as a job: ", err)

    def test_timing_is_told(self):
        self.assertRegex(run("-t", "uri")[1], r"\n\n\(Time: \d+\.\d{3} ms\)\n\n$")

    def test_versions(self):
        short = run("-v")[1]
        self.assertRegex(short, r"^\d+\.\d+\.\d+\n$")
        self.assertEqual(short, run("--version")[1])
        self.assertIn(short.strip(), run("-V")[1])
        self.assertEqual(run("-V"), run("--version=long"))

    def test_colour_only_on_request(self):
        self.assertNotIn("\033", run("nosuch")[2])
        self.assertNotIn("\033", run("nosuch", TERM="xterm")[2])
        self.assertIn("\033[1;31merror: \033[0m", run("--color=always", "nosuch")[2])


class Shell(unittest.TestCase):
    def test_script_on_stdin_echoes_as_virsh_does(self):
        status, out, err = run("-q", stdin="pool-uuid images\nnosuch\n# c\necho a; quit\necho b\n")
        prompt = "cistern # " if os.geteuid() == 0 else "cistern > "
        self.assertEqual(f"{prompt}pool-uuid images\n6f9619ff-8b86-d011-b42d-00c04fc964ff\n"
                         f"{prompt}nosuch\n{prompt}# c\n{prompt}echo a; quit\na\n", out)
        self.assertEqual((0, "error: unknown command: 'nosuch'\n"), (status, err))

    def test_directory_belongs_to_the_shell(self):
        with tempfile.TemporaryDirectory() as where:
            out = run("-q", stdin=f"cd {where}\npwd\ncd {where}/no\n")
            self.assertIn(f"\n{os.path.realpath(where)}\n", out[1])
            self.assertEqual(f"error: cd: No such file or directory: {where}/no\n", out[2])
        self.assertEqual(2, run("cd", "/")[0])

    def test_reading_only_shows_in_the_prompt(self):
        out = run("-q", stdin="connect --readonly\npool-undefine backup\n")
        self.assertIn("cistern > pool-undefine", out[1])
        self.assertIn("operation forbidden", out[2])

    def test_echo_quotes_for_shell_and_xml(self):
        self.assertEqual("'a'\\''b' c '' 'x y'\n", run("-q", "echo", "--shell", "a'b", "c", "",
                                                       "x y")[1] + "\n")
        self.assertEqual("&lt;&apos;&quot;&amp;", run("-q", "echo", "--xml", "<'\"&")[1])
        self.assertEqual("a\nb,c\n d\n", run("-q", "echo", "--split", "a,b,,c", "d")[1])


class Spanish(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.where = tempfile.mkdtemp(prefix="cli-locale-")
        made = shutil.which("localedef") and subprocess.run(
            ["localedef", "-i", "es_ES", "-f", "UTF-8", os.path.join(cls.where, "es_ES.UTF-8")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode in (0, 1)
        if not made or not os.path.isdir(os.path.join(cls.where, "es_ES.UTF-8")):
            shutil.rmtree(cls.where)
            raise unittest.SkipTest("localedef cannot make es_ES.UTF-8")
        subprocess.run(["msgfmt", "-c", "-o", os.path.join(cls.catalogue(), "cistern.mo"),
                        os.path.join(SOURCE, "po/es.po")], check=True, stderr=subprocess.DEVNULL)

    @classmethod
    def catalogue(cls):
        where = os.path.join(cls.where, "po", "es", "LC_MESSAGES")
        os.makedirs(where, exist_ok=True)
        return where

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.where)

    def spanish(self, *words, stdin=""):
        return run(*words, stdin=stdin, LC_ALL="es_ES.UTF-8", LOCPATH=self.where, LANGUAGE="",
                   CISTERN_LOCALE_DIR=os.path.join(self.where, "po"))

    def test_words_and_decimal_comma(self):
        out = self.spanish("pool-info", "images")[1]
        self.assertIn("Estado:         en ejecución\n", out)
        self.assertIn("Asignación:     15,92 GiB\n", out)
        self.assertIn("Persistente:    sí\n", out)

    def test_columns_are_aligned_by_their_width_on_the_screen(self):
        lines = self.spanish("pool-list", "--all", "--details")[1].splitlines()
        self.assertEqual(lines[0].index("Capacidad"), lines[2].index("-"))
        self.assertEqual(lines[0].index("Disponible"), lines[3].index("236,05"))

    def test_errors(self):
        self.assertEqual("error: orden desconocida: «nosuch»\n", self.spanish("nosuch")[2])

    def test_messages_with_numbers(self):
        """xgettext finds the whole of a message only where it knows the format of its numbers."""
        image = os.path.join(self.where, "new.qcow2")
        error = self.spanish("image-create", image, "1M", "-f", "qcow2", "-o",
                             "cluster_size=100")[2]
        self.assertIn("un tamaño de clúster de 100 bytes: debe ser", error)

    def test_prompts_have_the_letters_of_the_language(self):
        for answer, status in (("s", 0), ("y", 0), ("n", 10), ("\u00f1", 10)):
            got, seen = at_terminal(
                PROGRAM, "pool-delete", "backup", until=["[s/N] "], typed=[answer + "\n"],
                env={"LC_ALL": "es_ES.UTF-8", "LOCPATH": self.where, "LANGUAGE": "",
                     "CISTERN_LOCALE_DIR": os.path.join(self.where, "po")})
            self.assertEqual(status, got, seen)

    def test_json_is_never_translated(self):
        for words in (["pool-list", "--all", "--details", "--json"], ["pool-info", "no", "--json"],
                      ["--json", "help"]):
            self.assertEqual(run(*words), self.spanish(*words))

    def test_json_of_one_line_leaves_the_next_in_spanish(self):
        english = run("-q", stdin="pool-info no --json\n")[2]
        self.assertEqual(english + self.spanish("pool-info", "no")[2],
                         self.spanish("-q", stdin="pool-info no --json\npool-info no\n")[2])

    def test_help_is_in_spanish_and_aligned(self):
        out = self.spanish("help", "pool-event")[1]
        self.assertIn("  DESCRIPCIÓN\n", out)
        self.assertIn("    --timeout <número>  segundos", out)

    def test_each_message_is_translated(self):
        done = subprocess.run(["msgfmt", "--statistics", "-o", os.devnull,
                               os.path.join(SOURCE, "po/es.po")], text=True, check=True,
                              stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"})
        self.assertNotRegex(done.stderr, "untranslated|fuzzy")

    def catalogued(self):
        """Files that the catalogue is made of."""
        with open(os.path.join(SOURCE, "po/POTFILES"), encoding="utf-8") as listed:
            names = [line.strip() for line in listed if line.strip() and line[0] != "#"]
        return [name for name in names if os.path.exists(os.path.join(SOURCE, name))]

    def lacking(self, names):
        """What msgcmp misses of the messages in these files, and how many messages there are."""
        with tempfile.NamedTemporaryFile(suffix=".pot") as pot:
            subprocess.run(["xgettext", "--from-code=UTF-8", "-k_", "-kN_", "-o", pot.name,
                            *names], cwd=SOURCE, check=True, stderr=subprocess.DEVNULL)
            done = subprocess.run(["msgcmp", "--use-untranslated",
                                   os.path.join(SOURCE, "po/es.po"), pot.name], text=True,
                                  stderr=subprocess.PIPE, check=False)
            pot.seek(0)
            missed = [line for line in done.stderr.splitlines() if "used but not defined" in line]
            return missed, pot.read().count(b"\nmsgid ")

    @unittest.skipUnless(shutil.which("xgettext"), "xgettext is not installed")
    def test_catalogue_has_every_message_of_the_command_line(self):
        names = [n for n in self.catalogued() if n.startswith(("src/cli/", "src/base/"))]
        self.assertEqual([], self.lacking(names)[0])

    @unittest.skipUnless(shutil.which("xgettext"), "xgettext is not installed")
    def test_catalogue_has_most_messages_of_the_layers_below(self):
        """All but what is said of damaged headers and tables."""
        names = [n for n in self.catalogued() if not n.startswith(("src/cli/", "src/base/"))]
        missed, count = self.lacking(names)
        self.assertGreater(count, 800)
        self.assertLess(len(missed), count / 3)

    def test_files_with_messages_are_catalogued(self):
        """Nearly all: what was added or moved a moment ago may wait for the next refresh."""
        names, lacking = set(self.catalogued()), []
        for where, _, files in os.walk(os.path.join(SOURCE, "src")):
            for name in files:
                path = os.path.join(where, name)
                with open(path, encoding="utf-8") as text:
                    if name.endswith(".c") and re.search(r"\bN?_\(\s*\"", text.read()):
                        lacking += {os.path.relpath(path, SOURCE)} - names
        self.assertLess(len(lacking), len(names) / 20, lacking)


class Topics(unittest.TestCase):
    def test_each_has_a_test_of_its_own(self):
        with open(os.path.join(SOURCE, "tests/unit/cli/meson.build"), encoding="utf-8") as build:
            listed = set(re.findall(r"'(\w+)'", build.read()))
        topics = {name for name, value in globals().items()
                  if isinstance(value, type) and issubclass(value, unittest.TestCase)}
        self.assertEqual(set(), topics - listed)


if __name__ == "__main__":
    unittest.main()
