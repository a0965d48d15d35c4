"""Code test images to real files with a codec, decode them, and measure. ``lic eval`` does the same.

python eval.py ckpt=RUN_OR_FILE data=kodak data.root=FOLDER
python eval.py ckpt=A,B target_bpp=0.15 data=kodak data.root=FOLDER
python eval.py codec=jpeg,webp data=kodak data.root=FOLDER
"""

import lic.eval  # its @hydra.main is what Hydra's tab completion looks for here

if __name__ == "__main__":
    lic.eval.run()
