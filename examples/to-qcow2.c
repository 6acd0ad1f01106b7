/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cc to-qcow2.c -o to-qcow2 $(pkg-config --cflags --libs libcistern-image) */
#include <cistern/image.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const CstImageFormat *qcow2 = cst_image_format_find("qcow2", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstChain) chain = NULL;
    g_autoptr(CstBlob) target = NULL;

    if (argc != 3)
        return fprintf(stderr, "usage: to-qcow2 IMAGE NEW-QCOW2\n"), 2;
    chain = cst_path_open(argv[1], NULL, 0, CST_PATH_FOLLOW, &error);
    for (guint i = 0; chain && i < cst_chain_length(chain); i++)
        printf("%s: %s\n", cst_chain_blob(chain, i)->name,
               cst_image_format_name(cst_chain_info(chain, i)->format));
    target = chain ? cst_blob_file_create(argv[2], &error) : NULL;
    if (target && cst_image_convert(cst_chain_guest(chain), target, qcow2, NULL, 0, NULL, &error))
        return 0;
    fprintf(stderr, "%s\n", error->message);
    return 1;
}
