# SPDX-License-Identifier: LGPL-2.1-or-later
"""A screen (Xvfb) with a session bus, on which a GTK program runs and is driven through AT-SPI: widgets
are found by role and name and asked to act, so nothing depends on where they are drawn. Pictures of the
screen go to BUILD/ecosystem."""

import atexit
import os
import shutil
import subprocess

from harness import peers, space, wait

PICTURES = os.path.join(space.BUILD, "ecosystem")


def missing():
    """What is not installed; "" when all is there."""
    tools = [name for name in ("Xvfb", "dbus-daemon", "import")
             if not shutil.which(name, path=space.ENV["PATH"])]
    try:
        import gi
        gi.require_version("Atspi", "2.0")
    except (ImportError, ValueError):
        tools.append("gir1.2-atspi-2.0")
    return ", ".join(tools)


class Desktop:
    def __init__(self):
        self.processes = []
        self.log = space.path("desktop.log")
        run = space.path("desktop-run")
        os.makedirs(run, mode=0o700, exist_ok=True)
        os.makedirs(PICTURES, exist_ok=True)
        atexit.register(self.stop)
        self.env = dict(space.ENV, XDG_RUNTIME_DIR=run, GSETTINGS_BACKEND="memory", LC_ALL="C.UTF-8",
                        DISPLAY=":" + self.screen(),
                        DBUS_SESSION_BUS_ADDRESS=f"unix:path={run}/session")
        bus = self.spawn("dbus-daemon", "--session", "--nofork", "--nopidfile",
                         "--address=" + self.env["DBUS_SESSION_BUS_ADDRESS"])
        peers.wait_for_socket(f"{run}/session", bus, self.log)
        # Read by the library when it is loaded.
        for name in ("DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
            os.environ[name] = self.env[name]
        from gi.repository import Atspi, GLib
        self.atspi, self.GError = Atspi, GLib.GError

    def spawn(self, *argv, **options):
        with open(self.log, "ab") as stream:
            self.processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=stream,
                                                   stdout=stream, env=self.__dict__.get("env"),
                                                   **options))
        return self.processes[-1]

    def screen(self):
        """Starts the X server; returns the number of its display, which it chooses."""
        ours, its = os.pipe()
        self.spawn("Xvfb", "-displayfd", str(its), "-screen", "0", "1280x900x24", "-nolisten", "tcp",
                   pass_fds=[its])
        os.close(its)
        with os.fdopen(ours) as stream:
            return stream.readline().strip()

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()
        self.processes = []

    def picture(self, name):
        subprocess.run(["import", "-window", "root", os.path.join(PICTURES, name + ".png")],
                       env=self.env, check=True)

    # --- widgets ------------------------------------------------------------------------------

    def all(self, role, name=None, below=None):
        """Every widget that is shown with this role, and name if one is given."""
        found = []

        def answers():
            found.clear()
            try:
                root = below or self.atspi.get_desktop(0)
                if not below:
                    root.clear_cache()
                self.collect(root, role, name, found)
                return True
            except self.GError:
                return False  # a window has closed meanwhile

        wait.until(answers, "the program answers")
        return found

    def shown(self, node):
        children = [node.get_child_at_index(i) for i in range(node.get_child_count())]
        return [child for child in children if child
                and (child.get_role_name() == "application"
                     or child.get_state_set().contains(self.atspi.StateType.SHOWING))]

    def collect(self, node, role, name, found):
        for child in self.shown(node):
            if child.get_role_name() == role and name in (None, child.get_name()):
                found.append(child)
            self.collect(child, role, name, found)

    def find(self, role, name=None, below=None):
        """Waits for it."""
        return wait.until(lambda: self.all(role, name, below), f"{role} '{name}' on the screen",
                          self.dump)[0]

    def gone(self, role, name):
        wait.until(lambda: not self.all(role, name), f"no {role} '{name}' on the screen", self.dump)

    def dump(self):
        """The screen as text."""
        lines = []

        def walk(node, depth):
            for child in self.shown(node):
                lines.append("  " * depth + f"{child.get_role_name()} '{child.get_name()}'")
                walk(child, depth + 1)
        walk(self.atspi.get_desktop(0), 0)
        return "\n".join(lines)

    def click(self, role, name=None, below=None):
        self.find(role, name, below).do_action(0)

    def press(self, role, name=None, below=None):
        """With the mouse: for what asks a question, whose action does not return until it is answered."""
        box = self.find(role, name, below).get_extents(self.atspi.CoordType.SCREEN)
        self.atspi.generate_mouse_event(box.x + box.width // 2, box.y + box.height // 2, "b1c")

    def tab(self, name):
        tab = self.find("page tab", name)
        tab.get_parent().select_child(tab.get_index_in_parent())

    def write(self, widget, text):
        assert widget.set_text_contents(text)

    def text(self, widget):
        return self.atspi.Text.get_text(widget, 0, -1)

    def rows(self, table):
        """The texts of all of its cells."""
        cells = [cell.get_name() for cell in self.all("table cell", None, self.find("table", table))]
        return [name for name in cells if name]

    def select(self, table, pick):
        """Selects the row of which a cell's text begins with @pick, once there is one."""
        def is_selected():
            widget = self.find("table", table)
            for row in range(widget.get_n_rows()):
                for column in range(widget.get_n_columns()):
                    cell = widget.get_accessible_at(row, column)
                    names = [cell.get_name()] + [cell.get_child_at_index(i).get_name()
                                                 for i in range(cell.get_child_count())]
                    if any(name.split("\n")[0] == pick for name in names if name):
                        widget.add_row_selection(row)
                        return True
            return False

        wait.until(is_selected, f"a row '{pick}' in {table}", self.dump)
