/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Has meson compile the header for objects of libraries, and for objects of programs. */
int main(void);

int main(void)
{
    return 0;
}
